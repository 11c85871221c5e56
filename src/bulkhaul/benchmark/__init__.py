"""Measures a store: puts a load on it, says what limits it, and whether two results differ."""
