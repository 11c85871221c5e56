"""Frames the records of journals, reads them back, and appends them to a file.

    frame    length u32 LE │ crc32 u32 LE over length and body │ body: msgpack, tagged

Reading stops at the first frame that is not whole: what follows it was never flushed.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from enum import Enum

from bulkhaul.model.errors import LocalError

MAX_BODY_BYTES = 64 * 1024
"""Longest body. The longest record is the first of a journal: a key has at most 1024 bytes (S3 User Guide, "Naming
objects")."""

HEADER = struct.Struct("<II")


class Flaw(Enum):
    """Why a journal has no state.

    ``EMPTY``: not even its first record was written in full, so nothing was begun.
    ``FOREIGN``: it does not begin with such a record, or with a damaged one that more follows.
    ``VERSION``: another version of bulkhaul has written it.
    ``UNREADABLE``: the operating system refuses.
    """

    EMPTY = "its first record was never written in full"
    FOREIGN = "not a journal of ours, or damaged beyond reading"
    VERSION = "written by another version of bulkhaul"
    UNREADABLE = "it cannot be opened or read"


def framed(body: bytes) -> bytes:
    """Return a record's body in its frame.

    Raises:
        LocalError: it is longer than any record may be.
    """
    if len(body) > MAX_BODY_BYTES:
        raise LocalError(f"a record of {len(body)} bytes is too long for a journal")
    return HEADER.pack(len(body), _crc(len(body), body)) + body


def whole_bodies(data: bytes) -> Iterator[bytes]:
    """Yield the bodies of the frames that ``data`` begins with, up to the first that is not whole."""
    at = 0
    while (body := _whole_body(data, at)) is not None:
        yield body
        at += HEADER.size + len(body)


def first_body(data: bytes) -> bytes:
    """Return the body of the first frame, empty if that is not whole."""
    return _whole_body(data, 0) or b""


def torn_first(data: bytes) -> bool:
    """Whether ``data`` is what a crash leaves of a first record, with nothing after it."""
    if len(data) < HEADER.size or not any(data):
        return True
    length: int = HEADER.unpack_from(data)[0]
    return length <= MAX_BODY_BYTES and len(data) <= HEADER.size + length


def write_at(fd: int, data: bytes, at: int) -> None:
    """Write a frame at a position: what a failed write has left behind is overwritten by the next one.

    Raises:
        OSError: the disk refuses.
    """
    left = memoryview(data)
    while left:
        count = os.pwrite(fd, left, at)
        if not count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left, at = left[count:], at + count


def read_all(fd: int, most_bytes: int) -> bytes | None:
    """Return what a journal holds, None if it is longer than that.

    Raises:
        OSError: it cannot be read.
    """
    size_bytes = os.fstat(fd).st_size
    if size_bytes > most_bytes:
        return None
    data = bytearray()
    while part := os.pread(fd, size_bytes - len(data), len(data)):
        data += part
    return bytes(data)


def _whole_body(data: bytes, at: int) -> bytes | None:
    if len(data) - at < HEADER.size:
        return None
    length, crc = HEADER.unpack_from(data, at)
    body = data[at + HEADER.size : at + HEADER.size + length]
    return body if length == len(body) and crc == _crc(length, body) else None


def _crc(length: int, body: bytes) -> int:
    # With the length in it, a tail of zeros (a file that grew before its data was written) is no empty frame.
    return zlib.crc32(body, zlib.crc32(length.to_bytes(4, "little")))
