"""Bytes that cost nothing: one buffer of noise, repeated, and every object a window of it.

The buffer's length is a prime number, so that parts of any size at different places of a large object
differ, and so do objects with different numbers: a part that lands in the wrong place changes the bytes.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import random
from collections.abc import Iterator

PERIOD_BYTES = 67_108_859  # the largest prime below 64 MiB
STEP_BYTES = 65_539  # between the beginnings of objects; a prime that does not divide the period
SEED = 20260704


class Content:
    """The buffer, as a file for ``sendfile`` and as memory for everything else.

    Attributes:
        file: descriptor of a memory file of PERIOD_BYTES bytes.
        view: the same bytes.
    """

    def __init__(self) -> None:
        self.file = os.memfd_create("content")
        os.truncate(self.file, PERIOD_BYTES)
        self.view = memoryview(mmap.mmap(self.file, PERIOD_BYTES))
        self.view[:] = random.Random(SEED).randbytes(PERIOD_BYTES)

    @staticmethod
    def start_of(number: int) -> int:
        """Return where object ``number`` begins in the buffer."""
        return number * STEP_BYTES % PERIOD_BYTES

    def pieces(self, start: int, size_bytes: int) -> Iterator[memoryview]:
        """Give the bytes of a window, which goes on at the front when the buffer ends."""
        position = start % PERIOD_BYTES
        while size_bytes > 0:
            count = min(size_bytes, PERIOD_BYTES - position)
            yield self.view[position : position + count]
            size_bytes -= count
            position = 0

    def md5(self, start: int, size_bytes: int) -> str:
        """Return the MD5 of a window, in hexadecimal."""
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.pieces(start, size_bytes):
            digest.update(piece)
        return digest.hexdigest()
