"""Reads the lines of a file of commands, while more of them are still being written to the other end of a pipe."""

from __future__ import annotations

import codecs
import os
import select
from collections.abc import Iterator

READ_BYTES = 64 * 1024
"""What is read at once, and begun together: a thousand lines. Source: the capacity of a pipe (pipe(7))."""

MAX_LINE_BYTES = 1024 * 1024
"""The longest line: what a shell would hand over to a program, twice over (MAX_ARG_STRLEN, execve(2)), and more."""


def numbered_lines(fd: int) -> Iterator[list[tuple[int, str | None]]]:
    """Yield the lines that could be read at once, each with its number from 1; None stands for one that is too long.

    Raises:
        OSError: it cannot be read.
    """
    number, rest, skipping = 0, b"", False
    _wait_for_input(fd)
    while True:
        chunk = os.read(fd, READ_BYTES)
        ended = not chunk
        *lines, rest = (rest + chunk).split(b"\n")
        if ended and (rest or skipping):
            lines, rest = [*lines, rest], b""
        found: list[tuple[int, str | None]] = []
        for line in lines:
            number += 1
            too_long = skipping or len(line) > MAX_LINE_BYTES
            skipping = False
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            found.append((number, None if too_long else os.fsdecode(line)))
        if len(rest) > MAX_LINE_BYTES:
            skipping, rest = True, b""
        if found:
            yield found
        if ended:
            return


def _wait_for_input(fd: int) -> None:
    """Wait until there is something to read, or the end: a FIFO is at its end before anybody has opened it to write."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll()
