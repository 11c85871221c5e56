"""Writes bytes so that blocks of zeros take no room on the disk: holes of the file.

A hole is punched rather than a write left out: what an earlier attempt has put there goes, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from bulkhaul.disk.blocks import PUNCH_HOLE, fallocate
from bulkhaul.disk.window import WrittenWindow

BLOCK_BYTES = 4096
"""Length and place of what can be a hole: the usual block of a file system."""

_ZEROS = bytes(BLOCK_BYTES)


class SparseWindow(WrittenWindow):
    """Does what a ``WrittenWindow`` does, and leaves holes where whole blocks are zero."""

    def _write(self, data: memoryview) -> None:
        at = self._start + self.received_bytes
        for is_zero, start, end in runs(data, at):
            if is_zero and punch(self._fd, at + start, end - start):
                self.received_bytes += end - start
            else:
                super()._write(data[start:end])


def runs(data: memoryview, at: int) -> Iterator[tuple[bool, int, int]]:
    """Yield (whether it is zeros, start, end) of data that comes to lie at a place of a file.

    Runs end where a block does, or the data: a block that comes in two pieces may become a hole as well.

    >>> list(runs(memoryview(bytes(4096 * 2) + b"x"), 0)), list(runs(memoryview(b"x" + bytes(4096)), 1))
    ([(True, 0, 8192), (False, 8192, 8193)], [(False, 0, 4095), (True, 4095, 4097)])
    """
    begun, was_zero, place = 0, False, 0
    while place < len(data):
        end = min(len(data), place + BLOCK_BYTES - (at + place) % BLOCK_BYTES)
        is_zero = not data[place] and bytes(data[place:end]) == _ZEROS[: end - place]
        if is_zero is not was_zero:
            if place > begun:
                yield was_zero, begun, place
            begun, was_zero = place, is_zero
        place = end
    if place > begun:
        yield was_zero, begun, place


def punch(fd: int, start: int, length: int) -> bool:
    """Make a hole of a range of a file; False where the file system has none.

    Raises:
        OSError: the disk fails.
    """
    return fallocate(fd, PUNCH_HOLE, start, length)
