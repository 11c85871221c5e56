"""Tests of pure code: no process, no sleeping, no socket."""
