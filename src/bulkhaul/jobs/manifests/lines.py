"""Splits a stream of bytes into numbered lines of bounded length."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedIOBase

from bulkhaul.model.limits import MIB

MAX_LINE_BYTES = MIB
"""Longest line that is a row. A key of 1024 bytes has at most 3 KiB percent-encoded, and 6 KiB as JSON escapes; the
rest of a row is shorter, an error's text excepted."""

TOO_LONG = f"the line is longer than {MAX_LINE_BYTES} bytes; is this the format that was meant?"

_BOM = b"\xef\xbb\xbf"


def numbered_lines(file: BufferedIOBase) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line without its end) for every line that is not blank; None for one that is too long.

    Memory holds one line, however long the file's lines are.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(_BOM)
        if len(line) >= MAX_LINE_BYTES and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
            yield number, None
        elif text := line.rstrip(b"\r\n"):
            yield number, text
