"""Runs a real S3 server on this machine for a while: what the demo, benchmarks and tests of other projects ask."""
