"""Standard streams that were closed before the command began: fills their places, and refuses who needs them.

This is imported before the forkserver is started, so it imports nothing heavy.
"""

from __future__ import annotations

import os
import sys


def fill_closed() -> None:
    """Put /dev/null where a standard stream is closed: the next file or socket would take its place, and our output."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one


def require_stdin() -> None:
    """Make sure that there is an input to read.

    Raises:
        click.UsageError: stdin is closed.
    """
    _require_open(sys.stdin, "stdin")


def require_stdout() -> None:
    """Make sure that there is an output to write.

    Raises:
        click.UsageError: stdout is closed.
    """
    _require_open(sys.stdout, "stdout")


def _require_open(stream: object, name: str) -> None:
    """Make sure that the program was started with this stream open; its descriptor may be something else by now.

    Raises:
        click.UsageError: it was not.
    """
    if stream is None:
        import click

        raise click.UsageError(f"{name} is closed.")
