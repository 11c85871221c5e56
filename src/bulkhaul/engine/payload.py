"""Bytes too long for a frame, handed between processes as a descriptor of anonymous memory; it knows no meaning."""

from __future__ import annotations

import os
import tempfile

Buffer = bytes | bytearray | memoryview


def new_memory(name: str = "bulkhaul") -> int:
    """Return a descriptor of empty anonymous memory; a file without a name where the platform has none."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def memory_of(data: Buffer) -> int:
    """Return a descriptor of anonymous memory that holds ``data``."""
    fd = new_memory()
    try:
        write_all(fd, memoryview(data), 0)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_all(fd: int, data: memoryview, at: int) -> None:
    """Write all of ``data`` at an offset."""
    data = data.cast("B")
    while data:
        written = os.pwrite(fd, data, at)
        at += written
        data = data[written:]


def read_all(fd: int) -> bytes:
    """Return everything that a descriptor of memory holds."""
    size_bytes = os.fstat(fd).st_size
    content = bytearray(size_bytes)
    view, at = memoryview(content), 0
    while at < size_bytes:
        count = os.preadv(fd, [view[at:]], at)
        if not count:
            raise OSError(5, f"it ends at byte {at} of {size_bytes}")
        at += count
    return bytes(content)
