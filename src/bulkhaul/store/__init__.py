"""One bucket as an object with methods; it must not know processes, sockets or the command line."""
