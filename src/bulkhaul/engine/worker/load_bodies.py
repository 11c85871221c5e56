"""The bodies of a load: what PUTs send, and where those of GETs go."""

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


class Disk:
    """Writes bodies to a disk; what that takes is added up.

    Attributes:
        spent_s: seconds that writing took so far.
        seeks: each body begins at the beginning of its file.
    """

    def __init__(self, place: str) -> None:
        """Take a folder, in which each lane has a file without a name, or a device or FIFO that all lanes write to."""
        self.spent_s = 0.0
        self.seeks = os.path.isdir(place)
        self._place = place
        self._shared = -1 if self.seeks else os.open(place, os.O_WRONLY)

    def open(self) -> int:
        """Return a descriptor to write to.

        Raises:
            OSError: the folder refuses.
        """
        if self._shared >= 0:
            return self._shared
        try:
            return os.open(self._place, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError:  # not every file system has files without names
            path = os.path.join(self._place, f".bulkhaul-load-{os.getpid()}-{time.monotonic_ns()}")
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.unlink(path)
            return fd


class Written(Discard):
    """Writes a body to a file from its beginning, over the one before."""

    def __init__(self, scratch: memoryview, disk: Disk) -> None:
        super().__init__(scratch)
        self._disk = disk
        self._fd = disk.open()

    def begin(self) -> None:
        """Wait for the next reply, and write from the beginning of the file on."""
        super().begin()
        if self._disk.seeks:
            os.lseek(self._fd, 0, os.SEEK_SET)

    def received(self, count: int) -> None:
        """Write the next bytes."""
        began_s = time.monotonic()
        data = self._scratch[:count]
        while data:
            data = data[os.write(self._fd, data) :]
        self._disk.spent_s += time.monotonic() - began_s
        self.moved_bytes += count
