"""Decides which objects of a listing are fetched together, and how many at a time.

page ─▶ by folder ─▶ groups of at most MAX_ROWS objects and MAX_BYTES

A page is grouped by itself, so that nothing waits for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from bulkhaul.model.limits import KIB, MIB

T = TypeVar("T")

MAX_ROWS = 64
"""Objects of one batch. More save nothing: one message and one wake-up of 64 are 1 µs an object."""

FLUSHED_ROWS = 16
"""Objects of one batch whose files are flushed: a worker has all of them open until then, and may open few files."""

LEAST_ROWS = 8
"""Fewer are no batch worth the name; a short page is cut no finer."""

MAX_BYTES = 8 * MIB
"""Bytes of one batch: a worker that dies has them fetched again."""

SMALL_BYTES = 256 * KIB
"""Largest object of a batch."""

SMALL_UPLOAD_BYTES = 128 * KIB
"""Largest file of a batch: a worker holds one whole for each connection."""

FIRST_ROWS, FIRST_GROUPS = 16, 8
"""Files of the first batches of a folder that is being walked, and how many those are: how many files there will be is
not known yet, and each worker is to get some."""

OPEN_FOLDERS = 8
"""Folders of a walk whose batches are not full, at most."""

GIVE_UP_AFTER = 64
"""Objects after which the number that went on alone says something."""


class BatchLimits:
    """Whether batches are of use to one run: where most objects go on alone, each would be fetched twice."""

    def __init__(self) -> None:
        self._through = 0
        self._alone = 0

    def ended(self, through: int, alone: int) -> None:
        """A batch has ended, and some of its objects went on alone."""
        self._through += through
        self._alone += alone

    @property
    def of_use(self) -> bool:
        """Whether further batches are to be made."""
        return self._through < GIVE_UP_AFTER or 2 * self._alone <= self._through


def rows_of_batch(objects: int, workers: int, *, flushed: bool = False) -> int:
    """Return how many of a page's objects make a batch, so that each worker gets some early.

    >>> rows_of_batch(1000, 2), rows_of_batch(100, 2), rows_of_batch(5, 2)
    (64, 25, 8)
    >>> rows_of_batch(1000, 2, flushed=True)
    16
    """
    most = FLUSHED_ROWS if flushed else MAX_ROWS
    return max(LEAST_ROWS, min(most, -(-objects // (2 * workers))))


def cut(sized: Sequence[tuple[T, int]], rows: int) -> Iterator[list[T]]:
    """Cut (object, bytes) in order into pieces of at most ``rows`` objects and ``MAX_BYTES``.

    >>> list(cut([("a", 5), ("b", MAX_BYTES), ("c", 5), ("d", 5)], 2))
    [['a'], ['b'], ['c', 'd']]
    """
    piece: list[T] = []
    total = 0
    for one, size_bytes in sized:
        if piece and (len(piece) == rows or total + size_bytes > MAX_BYTES):
            yield piece
            piece, total = [], 0
        piece.append(one)
        total += size_bytes
    if piece:
        yield piece
