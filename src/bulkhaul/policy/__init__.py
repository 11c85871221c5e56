"""Pure decisions: data in, data out. No clock, no randomness, no files, no sockets in here."""
