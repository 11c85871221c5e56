"""Costs of single steps of the hot path, by pytest-benchmark: ``pytest bench/micro``."""
