"""The commands, one per module; a command is imported when it is called."""
