"""A project that stores by bulkhaul, with the tests and the benchmark that such a project has.

Tests of this repository run it in a pytest of its own.
"""
