"""Puts the bytes of one part into the temp file: by a mapped window, or by a buffer that is written to it.

Both ways have the same interface. Only workers use them.

    mapped    socket ─▶ page of the file                     one copy, page faults
    written   socket ─▶ hot block of 256 KiB ─▶ pwrite        two copies, the first one in cache
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from typing import Protocol

from bulkhaul.model.limits import KIB

MADV_POPULATE_WRITE = 23
"""Prefault a range for writing. Source: include/uapi/asm-generic/mman-common.h, Linux 5.14."""

CUT_SHORT = "the temp file was cut short by another program during the transfer"

BLOCK_BYTES = 256 * KIB
"""What is written at once, from multiples of it on: the page cache then holds it in a few large pieces. Source:
docs/decisions/0002-landing.md."""


class Window(Protocol):
    """Takes a part's bytes in order, from its first missing byte on.

    Attributes:
        received_bytes: how many it has taken.
    """

    received_bytes: int

    def space(self) -> memoryview:
        """Return writable space for the next bytes."""
        ...

    def received(self, count: int) -> None:
        """Take the first ``count`` bytes of the space as the next ones."""
        ...

    def use(self, block: memoryview, *, shared: bool) -> None:
        """Receive into another block, if into any; nothing may have been received yet."""
        ...

    def flush(self) -> None:
        """Put everything that was received into the file.

        Raises:
            OSError: it could not be written.
        """
        ...

    def close(self) -> None:
        """Let go of the file; what was not flushed is dropped."""
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

    def use(self, block: memoryview, *, shared: bool) -> None:
        """See ``Window.use``."""

    def flush(self) -> None:
        """See ``Window.flush``."""

    def close(self) -> None:
        """See ``Window.close``."""
        self._view.release()
        # A socket that was closed in the middle of a read may hold the space; the map is then collected with it.
        with contextlib.suppress(BufferError):
            self._map.close()


class WrittenWindow:
    """``[start, end)`` of a file of ``size_bytes``, received into a block and written from there.

    A block of its own is written when it is full or flushed. One that several windows share, whose readers take turns,
    is written after each read.
    """

    def __init__(self, fd: int, start: int, size_bytes: int, block: memoryview, *, shared: bool) -> None:
        """Take a block of ``BLOCK_BYTES``."""
        self._fd = os.dup(fd)
        self._at = start  # where the block's first byte belongs
        self._size_bytes = size_bytes
        self.received_bytes = 0
        self.use(block, shared=shared)

    def use(self, block: memoryview, *, shared: bool) -> None:
        """See ``Window.use``."""
        self._block, self._shared = block, shared
        self._filled, self._room = 0, BLOCK_BYTES - self._at % BLOCK_BYTES

    def space(self) -> memoryview:
        """See ``Window.space``."""
        return self._block[self._filled : self._room]

    def received(self, count: int) -> None:
        """See ``Window.received``."""
        self._filled += count
        self.received_bytes += count
        if self._shared or self._filled == self._room:
            self.flush()

    def flush(self) -> None:
        """See ``Window.flush``."""
        if not self._filled:
            return
        if os.fstat(self._fd).st_size < self._size_bytes:
            # Writing on would restore its length but leave a hole where other workers had put their parts.
            raise OSError(errno.ESTALE, CUT_SHORT)
        at, data = self._at, self._block[: self._filled]
        while data:
            written = os.pwrite(self._fd, data, at)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            at += written
            data = data[written:]
        self._at, self._filled, self._room = at, 0, BLOCK_BYTES - at % BLOCK_BYTES

    def close(self) -> None:
        """See ``Window.close``."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
