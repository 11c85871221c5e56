"""Whole-program measurements: what a user waits for, pays in CPU and gives up in memory."""
