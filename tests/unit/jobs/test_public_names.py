"""The functions of ``bulkhaul.jobs`` stay what they are, whichever modules of the package have been imported."""

from __future__ import annotations

import importlib
import pkgutil

from bulkhaul import jobs
from bulkhaul.jobs import aio


def test_no_module_takes_the_name_of_a_function() -> None:
    """An imported module becomes an attribute of its package, and would hide a function of its name."""
    modules = {found.name for found in pkgutil.iter_modules(jobs.__path__)}
    assert not modules & set(jobs.__all__)
    for name in sorted(modules):
        importlib.import_module(f"bulkhaul.jobs.{name}")
    assert all(callable(getattr(jobs, name)) for name in jobs.__all__)


def test_both_faces_have_the_same_functions() -> None:
    """What waits has a twin that is awaited, but for rows that are read from files."""
    functions = {name for name in jobs.__all__ if name.islower()}
    assert {name for name in functions if not hasattr(aio, name)} == {"report_rows"}
