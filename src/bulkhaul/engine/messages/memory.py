"""Makes, fills and reads anonymous memory, whose descriptor carries bytes too long for a frame between processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

Buffer = bytes | bytearray | memoryview

MAX_READ_BYTES = 1 << 30
"""Bytes of one read. Source: read(2), Linux gives at most 0x7ffff000 at a time."""


def new_memory(name: str = "bulkhaul") -> int:
    """Return a descriptor of empty anonymous memory; a file without a name where the platform has none."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    import tempfile  # with what it imports, 4 ms

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


@contextlib.contextmanager
def in_memory(data: Buffer) -> Iterator[int]:
    """Keep a descriptor of anonymous memory with ``data`` in it open for the block."""
    fd = new_memory()
    try:
        write_all(fd, memoryview(data), 0)
        yield fd
    finally:
        os.close(fd)


def write_all(fd: int, data: memoryview, at: int) -> None:
    """Write all of ``data`` at an offset."""
    data = data.cast("B")
    while data:
        written = os.pwrite(fd, data, at)
        at += written
        data = data[written:]


def read_all(fd: int) -> bytes:
    """Return everything that a descriptor of memory holds."""
    size_bytes, at = os.fstat(fd).st_size, 0
    pieces = []
    while at < size_bytes:
        piece = os.pread(fd, min(size_bytes - at, MAX_READ_BYTES), at)
        if not piece:
            raise OSError(5, f"it ends at byte {at} of {size_bytes}")
        pieces.append(piece)
        at += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
