"""Puts the bytes of one part into the temp file: by a mapped window, or by a buffer that is written to it.

Both ways have the same interface. Only workers use them.

    mapped    socket ─▶ page of the file                     one copy, page faults
    written   socket ─▶ 1 MiB hot buffer ─▶ pwrite            two copies, the first one in cache
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import Protocol

MADV_POPULATE_WRITE = 23
"""Prefault a range for writing. Source: include/uapi/asm-generic/mman-common.h, Linux 5.14."""

CUT_SHORT = "the temp file was cut short by another program during the transfer"

BUFFER_BYTES = 1024 * 1024
"""Length of a hot buffer: large enough for few system calls, small enough for the cache."""


class Window(Protocol):
    """Takes a part's bytes in order, from its first missing byte on."""

    received_bytes: int

    def space(self) -> memoryview:
        """Return writable space for the next bytes."""
        ...

    def received(self, count: int) -> None:
        """Take the first ``count`` bytes of the space as the next ones."""
        ...

    def use(self, buffer: memoryview) -> None:
        """Receive into another buffer, if into any."""
        ...

    def close(self) -> None:
        """Let go of the file; what was received is in it."""
        ...


class MappedWindow:
    """``[start, end)`` of a file, mapped and prefaulted; bytes are received into the file's own pages."""

    def __init__(self, fd: int, start: int, end: int) -> None:
        aligned = start - start % mmap.ALLOCATIONGRANULARITY
        try:
            self._map = mmap.mmap(fd, end - aligned, offset=aligned)
        except ValueError as error:  # it does not reach that far any more
            raise OSError(errno.ESTALE, CUT_SHORT) from error
        if hasattr(mmap.mmap, "madvise"):
            # An older kernel says EINVAL, and the pages are faulted in one by one, which is only slower. Any other
            # error (of the disk) shows again when the pages are written.
            with contextlib.suppress(OSError):
                self._map.madvise(MADV_POPULATE_WRITE)
        self._view = memoryview(self._map)[start - aligned :]
        self.received_bytes = 0

    def space(self) -> memoryview:
        """See ``Window.space``."""
        return self._view[self.received_bytes :]

    def received(self, count: int) -> None:
        """See ``Window.received``."""
        self.received_bytes += count

    def use(self, buffer: memoryview) -> None:
        """See ``Window.use``."""

    def close(self) -> None:
        """See ``Window.close``."""
        self._view.release()
        # A socket that was closed in the middle of a read may hold the space; the map is then collected with it.
        with contextlib.suppress(BufferError):
            self._map.close()


class WrittenWindow:
    """``[start, end)`` of a file of ``size_bytes``, received into a reused buffer and written from there.

    Each read is written before the next one, so windows whose readers take turns may share a buffer.
    """

    def __init__(self, fd: int, start: int, size_bytes: int, buffer: memoryview) -> None:
        self._fd = os.dup(fd)
        self._start = start
        self._size_bytes = size_bytes
        self._buffer = buffer
        self.received_bytes = 0

    def space(self) -> memoryview:
        """See ``Window.space``."""
        return self._buffer

    def received(self, count: int) -> None:
        """See ``Window.received``."""
        if os.fstat(self._fd).st_size < self._size_bytes:
            # Writing on would restore its length but leave a hole where other workers had put their parts.
            raise OSError(errno.ESTALE, CUT_SHORT)
        self._write(self._buffer[:count])

    def _write(self, data: memoryview) -> None:
        while data:
            written = os.pwrite(self._fd, data, self._start + self.received_bytes)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.received_bytes += written
            data = data[written:]

    def use(self, buffer: memoryview) -> None:
        """See ``Window.use``."""
        self._buffer = buffer

    def close(self) -> None:
        """See ``Window.close``."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
