"""Processes: a coordinator that decides and workers that move bytes. Nothing in here parses HTTP."""
