"""Reports of jobs: what became of every planned object, in formats for machines and for people."""
