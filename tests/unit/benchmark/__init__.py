"""Tests of benchmarks: results that are made up, and what is read from them."""
