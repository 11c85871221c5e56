"""The ``bulkhaul`` command: reads options, prints lines and exits with a code. The engine does everything else."""
