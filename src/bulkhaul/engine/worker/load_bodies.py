"""The bodies of a load: what PUTs send, and what counts those of GETs. ``load_disk`` writes them to a disk."""

from __future__ import annotations

import os
import time

from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.objects import Checksum

SPREAD_BYTES = 64 * KIB
"""Bodies begin at different places of one buffer, this far apart at most, so that no two objects are quite alike."""

NOISE_BYTES = 16 * MIB
"""After so many bytes a body repeats itself: few compressors and no store look that far back."""

BLOCK_BYTES = 4 * KIB
"""Of each block of a compressible body the beginning is noise, and the rest zeros."""

SCRATCH_BYTES = 256 * KIB

_STEP = 4099
"""A prime number of bytes: bodies of neighbours begin far from each other."""


class Bodies:
    """What PUTs send: memory for the largest object so far."""

    def __init__(self, compressible: float) -> None:
        """Take by what factor bodies can be compressed."""
        self._compressible = compressible
        self._buffer = memoryview(b"")

    def has(self, size_bytes: int) -> bool:
        """Whether there is memory for such a body."""
        return len(self._buffer) >= size_bytes + SPREAD_BYTES

    def grow(self, size_bytes: int) -> None:
        """Make memory for bodies of this size; blocking, for up to seconds."""
        self._buffer = memoryview(_noise(size_bytes + SPREAD_BYTES, self._compressible))

    def body(self, place: int, size_bytes: int) -> memoryview:
        """Return the body of an object, for which there is memory."""
        start = place * _STEP % SPREAD_BYTES
        return self._buffer[start : start + size_bytes]


def _noise(count: int, compressible: float) -> bytes:
    noise = os.urandom(min(count, NOISE_BYTES))
    if compressible > 1:
        kept = max(1, round(BLOCK_BYTES / compressible))
        rest = bytes(BLOCK_BYTES - kept)
        noise = b"".join(noise[at : at + kept] + rest for at in range(0, len(noise), BLOCK_BYTES))
    return (noise * -(-count // len(noise)))[:count]


class Discard:
    """Counts the bytes of a body and throws them away; a lane uses it for one GET after the other.

    Attributes:
        turn_ns: when the head of the reply had come, or the last byte of a PUT had left; 0 before.
        moved_bytes: of the body.
    """

    def __init__(self, scratch: memoryview) -> None:
        self.turn_ns = 0
        self.moved_bytes = 0
        self._scratch = scratch

    def begin(self) -> None:
        """Wait for the next reply."""
        self.turn_ns = self.moved_bytes = 0

    def expect(self, checksum: Checksum | None) -> None:  # noqa: ARG002 - nothing is verified
        """The head of the reply has come."""
        self.turn_ns = time.monotonic_ns()

    def sent(self, _count: int, left: int) -> None:
        """Some of the body of a PUT has left."""
        if not left:
            self.turn_ns = time.monotonic_ns()

    def space(self) -> memoryview:
        """Return writable space for the next bytes."""
        return self._scratch

    def received(self, count: int) -> None:
        """Count the next bytes."""
        self.moved_bytes += count
