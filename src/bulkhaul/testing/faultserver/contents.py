"""Gives bytes by offset: held, and wrong in one bit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: How much of an object is read, sent or hashed at once.
PIECE_SIZE_BYTES = 256 * 1024


class Content(Protocol):
    """Bytes that can be read by half-open range."""

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return the bytes ``[start, end)``; the caller keeps to ``end <= size_bytes``."""


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content held in memory."""

    body: bytes

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return len(self.body)

    def read(self, start: int, end: int) -> memoryview:
        """Return a view of ``[start, end)``; nothing is copied."""
        return memoryview(self.body)[start:end]


@dataclass(frozen=True, slots=True)
class FlippedContent:
    """Content with one bit inverted at an offset."""

    content: Content
    offset: int
    bit: int = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.content.size_bytes

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)``, wrong in one bit if the offset lies within."""
        piece = self.content.read(start, end)
        if not start <= self.offset < end:
            return piece
        changed = bytearray(piece)
        changed[self.offset - start] ^= 1 << self.bit
        return bytes(changed)
