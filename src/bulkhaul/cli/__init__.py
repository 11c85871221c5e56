"""The ``bulkhaul`` command: options in, lines and an exit code out. Everything else is the engine's."""
