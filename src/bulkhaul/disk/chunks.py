"""Moves the bytes of a file or of a body into a file, chunk by chunk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator

from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.source import SourceFile, read_exactly, reading_error
from bulkhaul.model.errors import LocalError
from bulkhaul.model.limits import MIB

CHUNK_BYTES = MIB
"""Read and written at once."""

Chunks = Iterable[memoryview]
"""Each is gone with the next."""


def slices_of(body: memoryview) -> Iterator[memoryview]:
    """Yield a body chunk by chunk."""
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]


def read_all(source: SourceFile) -> Iterator[memoryview]:
    """Yield a file chunk by chunk; at its end, make sure that nothing has changed it.

    Raises:
        SourceChanged: another program wrote into it meanwhile.
        LocalError: it cannot be read.
    """
    buffer = memoryview(bytearray(min(CHUNK_BYTES, source.size_bytes)))
    for start in range(0, source.size_bytes, CHUNK_BYTES):
        chunk = buffer[: source.size_bytes - start]
        read_at(source, start, chunk)
        yield chunk
    source.check_unchanged()


def read_at(source: SourceFile, start: int, into: memoryview) -> None:
    """Fill a buffer with the bytes of a file from ``start`` on.

    Raises:
        SourceChanged: another program cut it short.
        LocalError: it cannot be read.
    """
    try:
        read_exactly(source.fd, start, into)
    except LocalError as error:
        raise error.named(source.path) from None
    except OSError as error:
        raise reading_error(error, source.path) from error


def fill(landing: Landing, chunks: Chunks, reached: Callable[[int], None] | None = None) -> None:
    """Write all chunks, and set a time that is finer than the clock of the file system: no two contents share theirs.

    Args:
        reached: told how many bytes are written, after each chunk.

    Raises:
        DiskFull: there is no room for them.
        LocalError: the file system refuses.
    """
    done = 0
    for chunk in chunks:
        rest = chunk
        try:
            while rest:
                count = os.pwrite(landing.fd, rest, done)
                rest, done = rest[count:], done + count
        except OSError as error:
            raise local_error(error, landing.path) from error
        if reached is not None:
            reached(done)
    now_ns = time.time_ns()
    try:
        os.utime(landing.fd, ns=(now_ns, now_ns))
    except OSError as error:
        raise local_error(error, landing.path) from error
