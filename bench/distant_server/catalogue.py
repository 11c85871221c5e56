"""What is stored: buckets, their objects in the order of keys, and uploads under way.

Knows nothing of HTTP. A stored object is a window of the shared content, bytes that were kept, or nothing
but a size and an ETag.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from bisect import bisect_left, insort
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count

from bench.objects import format_size

from .content import Content

SEPARATELY_BYTES = 8 << 20  # from this size on, MD5 and checksum are computed side by side
CHECKSUMS = ("crc64nvme", "crc32", "none")


@dataclass(slots=True)
class Stored:
    """One object.

    Attributes:
        etag: without quotes; the MD5 of the bytes where they are known.
        start: where it begins in the shared content, or None if it was uploaded.
        body: the uploaded bytes, if the server keeps them.
        checksum: name and base64 value of the checksum of the whole object; empty for none.
    """

    size_bytes: int
    etag: str
    modified_s: float
    start: int | None = None
    body: bytes | None = None
    checksum: tuple[str, str] = ("", "")


@dataclass(slots=True)
class Part:
    """One part of an upload; ``body`` if the server keeps bytes."""

    size_bytes: int
    etag: str
    body: bytes | None


@dataclass(slots=True)
class Upload:
    """A multipart upload under way."""

    bucket: str
    key: str
    parts: dict[int, Part] = field(default_factory=dict)


@dataclass(slots=True)
class Bucket:
    """Objects by key, and the keys in the order of their bytes."""

    objects: dict[str, Stored] = field(default_factory=dict)
    keys: list[tuple[bytes, str]] = field(default_factory=list)

    def put(self, key: str, stored: Stored) -> None:
        """Store or replace one object."""
        if key not in self.objects:
            row = (key.encode(), key)
            if self.keys and row < self.keys[-1]:
                insort(self.keys, row)
            else:
                self.keys.append(row)
        self.objects[key] = stored

    def delete(self, key: str) -> None:
        """Remove one object, if it is there."""
        if self.objects.pop(key, None) is not None:
            del self.keys[self.first_at(key.encode())]

    def first_at(self, name: bytes) -> int:
        """Return the position of the first key that is not before ``name``."""
        return bisect_left(self.keys, (name, ""))


class Catalogue:
    """All buckets and uploads of a server."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.buckets: dict[str, Bucket] = {}
        self.uploads: dict[str, Upload] = {}
        self.numbers = count(1)

    def fill(self, bucket: str, specifications: Iterable[tuple[int, int]], *, checksum: str, now_s: float) -> None:
        """Make a bucket with generated objects.

        The objects of ``(5000, 65536)`` are ``5000x64KiB/00000000.bin`` and so on.

        Args:
            specifications: how many objects of how many bytes each.
            checksum: one of CHECKSUMS.
            now_s: when they were modified, seconds since the epoch.
        """
        made = self.buckets.setdefault(bucket, Bucket())
        with ThreadPoolExecutor(1) as beside:
            for objects, size_bytes in specifications:
                prefix = prefix_of(objects, size_bytes)
                for number in range(objects):
                    start = Content.start_of(number)
                    if size_bytes >= SEPARATELY_BYTES:  # both hashes release the interpreter lock
                        summing = beside.submit(self.checksum, checksum, start, size_bytes)
                        etag, sums = self.content.md5(start, size_bytes), summing.result()
                    else:
                        etag, sums = self.content.md5(start, size_bytes), self.checksum(checksum, start, size_bytes)
                    made.put(f"{prefix}{number:08d}.bin", Stored(size_bytes, etag, now_s, start, None, sums))

    def checksum(self, name: str, start: int, size_bytes: int) -> tuple[str, str]:
        """Return name and base64 value of the checksum of a window of the content."""
        if name == "none":
            return "", ""
        value = 0
        if name == "crc32":
            for piece in self.content.pieces(start, size_bytes):
                value = zlib.crc32(piece, value)
            return name, base64.b64encode(value.to_bytes(4, "big")).decode()
        from awscrt import checksums  # heavy, and needed for this algorithm alone

        for piece in self.content.pieces(start, size_bytes):
            value = checksums.crc64nvme(bytes(piece), value)
        return name, base64.b64encode(value.to_bytes(8, "big")).decode()

    def begin_upload(self, bucket: str, key: str) -> str:
        """Return the id of a new multipart upload."""
        upload_id = f"upload-{next(self.numbers):08d}"
        self.uploads[upload_id] = Upload(bucket, key)
        return upload_id

    def complete_upload(self, upload_id: str, numbers: Iterable[int], *, now_s: float) -> Stored:
        """Store the object made of these parts, in this order, and return it."""
        upload = self.uploads.pop(upload_id)
        parts = [upload.parts[number] for number in numbers]
        digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
        bodies = [part.body for part in parts if part.body is not None]
        stored = Stored(
            sum(part.size_bytes for part in parts),
            f"{digest.hexdigest()}-{len(parts)}",
            now_s,
            body=b"".join(bodies) if len(bodies) == len(parts) else None,
        )
        self.buckets[upload.bucket].put(upload.key, stored)
        return stored

    def received(self, size_bytes: int, body: bytes | None, content_md5: str) -> str:
        """Return the ETag of an uploaded body: its MD5 if that is known, else one that only looks like it.

        Args:
            body: the bytes, if they are kept.
            content_md5: the header of that name; empty if the client did not send it.
        """
        if body is not None:
            return hashlib.md5(body, usedforsecurity=False).hexdigest()
        if content_md5:
            return base64.b64decode(content_md5).hex()
        return f"{next(self.numbers):016x}{size_bytes:016x}"


def prefix_of(objects: int, size_bytes: int) -> str:
    """Return the prefix of the generated objects of one kind.

    >>> prefix_of(5000, 65536)
    '5000x64KiB/'
    """
    return f"{objects}x{format_size(size_bytes)}/"
