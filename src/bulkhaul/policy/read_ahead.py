"""Decides which ranges of an object a reader asks for: little after a jump, and more the longer it reads on.

jump ─▶ 128 KiB ─▶ 512 KiB ─▶ 2 MiB ─▶ 8 MiB ─▶ 32 MiB ahead, in blocks of 4 MiB side by side
"""

from __future__ import annotations

from itertools import pairwise

from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.blocks import READ_BLOCK_BYTES

FIRST_BYTES = 128 * KIB
"""What is asked for after a jump, at least: the footer of a table or the index of an archive is seldom longer."""

MOST_BYTES = 32 * MIB
"""What a reader has ahead of it at most: eight blocks. At 30 ms and 60 MB/s a connection they bring 330 MB/s."""

GROWTH = 4
"""How much more is asked for each time that a reader goes on: four round trips after a jump it has all that it may."""


class ReadAhead:
    """The ranges that one reader has asked for, which follow each other.

    Attributes:
        end: where what was asked for ends.
    """

    def __init__(self, size_bytes: int) -> None:
        self._size = size_bytes
        self._ahead = FIRST_BYTES
        self._held = 0
        self.end = 0

    def jump(self, at: int) -> None:
        """Begin anew at another place: whether the reader will go on there is not known."""
        self._ahead, self._held, self.end = FIRST_BYTES, 0, at

    def ranges(self, at: int, wanted: int) -> list[tuple[int, int]]:
        """Return the ranges that are to be asked for now, in order, none empty.

        Args:
            at: where the reader is, at most ``end``.
            wanted: bytes that it waits for; one that wants more than a reader may hold gets them piece by piece.

        >>> plan = ReadAhead(1 << 40)
        >>> plan.ranges(0, 100), plan.ranges(100, 100), plan.ranges(65536, 100)
        ([(0, 131072)], [], [(131072, 589824)])
        """
        needed = min(self._size, at + min(wanted, MOST_BYTES))
        if self.end >= needed and self.end - at > self._held // 2:
            return []
        goal = max(self.end, needed, min(self._size, at + self._ahead))
        self._ahead = min(MOST_BYTES, self._ahead * GROWTH)
        self._held = goal - at
        cuts = [*range(self.end, goal, READ_BLOCK_BYTES), goal]
        self.end = goal
        return [(start, end) for start, end in pairwise(cuts) if end > start]
