"""Bytes by offset: held, generated, cut out of others or put together, and wrong in one bit.

Job: let any range of any content be read without holding more than the range. Must not know S3.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from bulkhaul.testing.faultserver.contents import PIECE_SIZE_BYTES, Content

MIB = 1024 * 1024
GIB = 1024 * MIB

# A prime period: parts that start at multiples of a power of two never look alike.
_PATTERN_SIZE_BYTES = 1048573


class GeneratedContent:
    """Content computed from the offset: any size, one pattern in memory."""

    def __init__(self, size_bytes: int, *, seed: int = 0) -> None:
        self._size_bytes = size_bytes
        pattern = hashlib.shake_128(b"faultserver %d" % seed).digest(_PATTERN_SIZE_BYTES)
        self._twice = memoryview(pattern + pattern)

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self._size_bytes

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)``: a view when it fits into the pattern, else a copy."""
        offset = start % _PATTERN_SIZE_BYTES
        length = end - start
        if offset + length <= len(self._twice):
            return self._twice[offset : offset + length]
        repeats = length // _PATTERN_SIZE_BYTES + 2
        pattern = bytes(self._twice[:_PATTERN_SIZE_BYTES])
        return (pattern * repeats)[offset : offset + length]


@dataclass(frozen=True, slots=True)
class SlicedContent:
    """The bytes ``[start, end)`` of another content."""

    content: Content
    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.end - self.start

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)`` of the slice."""
        return self.content.read(self.start + start, self.start + end)


class JoinedContent:
    """Contents one after another, as the parts of an upload become an object."""

    def __init__(self, contents: Sequence[Content]) -> None:
        self._contents = tuple(contents)
        self._starts = (0, *accumulate(one.size_bytes for one in contents))

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self._starts[-1]

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)``: as the one content has it, or a copy from several."""
        index = bisect_right(self._starts, start) - 1
        pieces: list[bytes | memoryview] = []
        while start < end:
            first = self._starts[index]
            stop = min(end, self._starts[index + 1])
            if stop > start:
                pieces.append(self._contents[index].read(start - first, stop - first))
            start, index = stop, index + 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def pieces(content: Content, start: int, end: int) -> Iterator[bytes | memoryview]:
    """Yield ``[start, end)`` in order, at most ``PIECE_SIZE_BYTES`` at a time."""
    for offset in range(start, end, PIECE_SIZE_BYTES):
        yield content.read(offset, min(offset + PIECE_SIZE_BYTES, end))
