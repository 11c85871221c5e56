"""Reads, writes and digests the bodies of objects that are kept in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.source import SourceFile, read_exactly, reading_error
from bulkhaul.model.errors import LocalError
from bulkhaul.policy.layout import Part


def read(source: SourceFile, part: Part) -> bytes:
    """Return a part of a file."""
    body = bytearray(part.size_bytes)
    try:
        read_exactly(source.fd, part.start, memoryview(body))
    except LocalError as error:
        raise error.named(source.path) from None
    except OSError as error:
        raise reading_error(error, source.path) from error
    return bytes(body)


def write(landing: Landing, body: bytes, part: Part) -> None:
    """Write a part of a body into a file."""
    done = part.start
    try:
        while done < part.end:
            done += os.pwrite(landing.fd, memoryview(body)[done : part.end], done)
    except OSError as error:
        raise local_error(error, landing.path) from error


def md5(body: bytes) -> bytes:
    """Return a digest as ETags have it."""
    return hashlib.md5(body, usedforsecurity=False).digest()


def etag_of_parts(parts: Sequence[bytes]) -> str:
    """Return the ETag that S3 gives to an object in parts: a digest of their digests, and how many they are."""
    return f"{md5(b''.join(map(md5, parts))).hex()}-{len(parts)}"
