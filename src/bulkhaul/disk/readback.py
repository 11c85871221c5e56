"""Computes checksums of a file by reading it back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

READ_BYTES = 1024 * 1024


class Digest(Protocol):
    """A running checksum."""

    def update(self, data: memoryview, /) -> None:
        """Take the next bytes."""
        ...


def read_back(fd: int, start: int, end: int, digests: Sequence[Digest]) -> None:
    """Feed ``[start, end)`` of a file to every digest, in memory bounded by one buffer.

    Raises:
        OSError: the file is shorter, or cannot be read.
    """
    buffer = memoryview(bytearray(min(READ_BYTES, max(1, end - start))))
    at = start
    while at < end:
        count = os.preadv(fd, [buffer[: min(len(buffer), end - at)]], at)
        if not count:
            raise OSError(5, f"the file ends at byte {at} of {end}")
        for digest in digests:
            digest.update(buffer[:count])
        at += count
