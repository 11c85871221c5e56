"""Turns what goes wrong with temporary files into a typed error that says where these lie, and what to do."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bulkhaul.disk.oserrors import is_full
from bulkhaul.model.errors import DiskFull, LocalError

P = ParamSpec("P")
T = TypeVar("T")


def uses_temporary_files(function: Callable[P, T]) -> Callable[P, T]:
    """Have a function raise LocalError for errors of the system and of sqlite3, DiskFull where there is no room."""

    @functools.wraps(function)
    def guarded(*args: P.args, **named: P.kwargs) -> T:
        try:
            return function(*args, **named)
        except Exception as error:
            if not isinstance(error, OSError) and type(error).__module__ != "sqlite3":
                raise
            raise _typed(error) from error

    return guarded


def _typed(error: Exception) -> LocalError:
    full = is_full(error) if isinstance(error, OSError) else "full" in str(error)
    text = "a temporary file cannot be kept; free some space there, or set TMPDIR to another folder"
    return (DiskFull if full else LocalError)(text, os.environ.get("TMPDIR") or "/tmp", str(error))  # noqa: S108
