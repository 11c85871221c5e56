"""Handles standard streams that were closed at the start: fills their descriptors, refuses commands that need them.

It is imported before the forkserver is started, so it must import nothing heavy.
"""

from __future__ import annotations

import os
import sys


def fill_closed() -> None:
    """Open /dev/null where a standard stream is closed, or the next file or socket would get its number."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number: this one


def require_stdin() -> None:
    """Make sure that stdin was open at the start.

    Raises:
        click.UsageError: stdin is closed.
    """
    _require_open(sys.stdin, "stdin")


def require_stdout() -> None:
    """Make sure that stdout was open at the start.

    Raises:
        click.UsageError: stdout is closed.
    """
    _require_open(sys.stdout, "stdout")


def named_stdin(path: str) -> bool:
    """Whether a path is one of the names that systems have for stdin, which here is ``-``."""
    return path in _names("stdin", 0)


def named_stdout(path: str) -> bool:
    """Whether a path is one of the names that systems have for stdout, which here is ``-``."""
    return path in _names("stdout", 1)


def _names(stream: str, fd: int) -> tuple[str, ...]:
    """Source: proc_pid_fd(5), "/dev/stdin"; a process may also be named by its id."""
    return f"/dev/{stream}", f"/dev/fd/{fd}", f"/proc/self/fd/{fd}", f"/proc/{os.getpid()}/fd/{fd}"


def _require_open(stream: object, name: str) -> None:
    """Make sure that Python found this stream open at the start; its descriptor exists in any case by now.

    Raises:
        click.UsageError: it was not.
    """
    if stream is None:
        import click

        raise click.UsageError(f"{name} is closed.")
