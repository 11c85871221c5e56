"""Stored objects: bytes, and what S3 says about them.

Job: hold an object's content with its ETag, checksums and part map, as S3 would report them.
Must not know HTTP, requests or faults.

    make_object(b"...", part_size_bytes=8 * MIB, algorithm="CRC32C", checksum_type="COMPOSITE")
    generated_object(100 * GIB)          # computed from the offset, never in memory
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from awscrt import checksums as crt

MIB = 1024 * 1024
GIB = 1024 * MIB
#: How much of an object is read, sent or hashed at once.
PIECE_SIZE_BYTES = 256 * 1024

Algorithm = Literal["CRC32", "CRC32C", "CRC64NVME", "SHA256"]
ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]

# A prime period: parts that start at multiples of a power of two never look alike.
_PATTERN_SIZE_BYTES = 1048573
_LAST_MODIFIED = datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)


class Content(Protocol):
    """Bytes that can be read by half-open range."""

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return the bytes ``[start, end)``; the caller keeps to ``end <= size_bytes``."""


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content held in memory."""

    body: bytes

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return len(self.body)

    def read(self, start: int, end: int) -> memoryview:
        """Return a view of ``[start, end)``; nothing is copied."""
        return memoryview(self.body)[start:end]


class GeneratedContent:
    """Content computed from the offset: any size, one pattern in memory."""

    def __init__(self, size_bytes: int, *, seed: int = 0) -> None:
        self._size_bytes = size_bytes
        pattern = hashlib.shake_128(b"faultserver %d" % seed).digest(_PATTERN_SIZE_BYTES)
        self._twice = memoryview(pattern + pattern)

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self._size_bytes

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)``: a view when it fits into the pattern, else a copy."""
        offset = start % _PATTERN_SIZE_BYTES
        length = end - start
        if offset + length <= len(self._twice):
            return self._twice[offset : offset + length]
        repeats = length // _PATTERN_SIZE_BYTES + 2
        pattern = bytes(self._twice[:_PATTERN_SIZE_BYTES])
        return (pattern * repeats)[offset : offset + length]


@dataclass(frozen=True, slots=True)
class FlippedContent:
    """Content with one bit inverted at an offset."""

    content: Content
    offset: int
    bit: int = 0

    @property
    def size_bytes(self) -> int:
        """How many bytes there are."""
        return self.content.size_bytes

    def read(self, start: int, end: int) -> bytes | memoryview:
        """Return ``[start, end)``, wrong in one bit if the offset lies within."""
        piece = self.content.read(start, end)
        if not start <= self.offset < end:
            return piece
        changed = bytearray(piece)
        changed[self.offset - start] ^= 1 << self.bit
        return bytes(changed)


def pieces(content: Content, start: int, end: int) -> Iterator[bytes | memoryview]:
    """Yield ``[start, end)`` in order, at most ``PIECE_SIZE_BYTES`` at a time."""
    for offset in range(start, end, PIECE_SIZE_BYTES):
        yield content.read(offset, min(offset + PIECE_SIZE_BYTES, end))


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as the server knows it.

    ``etag`` and the checksum values are as S3 prints them, without quotes; a COMPOSITE checksum
    ends in ``-N``. ``part_sizes`` is None for an object that was put in one request, and
    ``part_checksums`` holds one value a part, in order, where S3 would have kept them.
    """

    content: Content
    etag: str
    last_modified: datetime = _LAST_MODIFIED
    checksums: Mapping[Algorithm, str] = field(default_factory=dict)
    checksum_type: ChecksumType = "FULL_OBJECT"
    part_sizes: tuple[int, ...] | None = None
    part_checksums: Mapping[Algorithm, tuple[str, ...]] = field(default_factory=dict)
    content_encoding: str | None = None
    content_type: str = "binary/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """How many bytes the object has."""
        return self.content.size_bytes

    @property
    def body(self) -> bytes:
        """The whole object; meant for objects that fit into memory."""
        return bytes(self.content.read(0, self.size_bytes))

    def part_range(self, number: int) -> tuple[int, int] | None:
        """Return the half-open range of part ``number`` (1-based), or None if there is none."""
        sizes = self.part_sizes or (self.size_bytes,)
        if not 1 <= number <= len(sizes):
            return None
        start = sum(sizes[: number - 1])
        return start, start + sizes[number - 1]


def digest(content: Content, algorithm: Algorithm, start: int = 0, end: int | None = None) -> bytes:
    """Return the checksum of ``[start, end)`` as the bytes that S3 puts into base64."""
    stop = content.size_bytes if end is None else end
    if algorithm == "SHA256":
        sha256 = hashlib.sha256()
        for piece in pieces(content, start, stop):
            sha256.update(piece)
        return sha256.digest()
    function = {"CRC32": crt.crc32, "CRC32C": crt.crc32c, "CRC64NVME": crt.crc64nvme}[algorithm]
    value = 0
    for piece in pieces(content, start, stop):
        value = function(bytes(piece), value)
    return value.to_bytes(8 if algorithm == "CRC64NVME" else 4, "big")


def make_object(
    body: bytes | Content,
    *,
    algorithm: Algorithm | None = None,
    checksum_type: ChecksumType = "FULL_OBJECT",
    part_size_bytes: int | None = None,
    part_sizes: tuple[int, ...] | None = None,
    etag: str | None = None,
    content_encoding: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> StoredObject:
    """Return an object as S3 would describe it after one PUT, or after a multipart upload.

    Args:
        body: the bytes, or any content.
        algorithm: which checksum S3 keeps; None for none.
        checksum_type: of the whole object, or of its parts' checksums (multipart only).
        part_size_bytes: makes it a multipart upload in parts of this size.
        part_sizes: makes it a multipart upload in parts of exactly these sizes.
        etag: instead of the one S3 would compute.
        content_encoding: Content-Encoding to report with the object.
        metadata: user metadata, names without ``x-amz-meta-``.
    """
    content = BytesContent(body) if isinstance(body, bytes) else body
    sizes = part_sizes
    if sizes is None and part_size_bytes is not None:
        starts = range(0, max(content.size_bytes, 1), part_size_bytes)
        sizes = tuple(min(part_size_bytes, content.size_bytes - start) for start in starts)
    if sizes is not None and sum(sizes) != content.size_bytes:
        raise ValueError(f"part sizes add up to {sum(sizes)}, not to {content.size_bytes}")
    checksums: dict[Algorithm, str] = {}
    part_checksums: dict[Algorithm, tuple[str, ...]] = {}
    if algorithm is not None:
        parts = [digest(content, algorithm, *span) for span in _spans(sizes or ())]
        part_checksums = {algorithm: tuple(map(_base64, parts))} if parts else {}
        if checksum_type == "COMPOSITE":
            if not parts:
                raise ValueError("a composite checksum needs parts; give part_size_bytes")
            whole = digest(BytesContent(b"".join(parts)), algorithm)
            checksums[algorithm] = f"{_base64(whole)}-{len(parts)}"
        else:
            checksums[algorithm] = _base64(digest(content, algorithm))
    return StoredObject(
        content=content,
        etag=_etag(content, sizes) if etag is None else etag,
        checksums=checksums,
        checksum_type=checksum_type,
        part_sizes=sizes,
        part_checksums=part_checksums,
        content_encoding=content_encoding,
        metadata=dict(metadata or {}),
    )


def generated_object(
    size_bytes: int, *, seed: int = 0, part_size_bytes: int | None = None, algorithm: Algorithm | None = None
) -> StoredObject:
    """Return an object of any size whose bytes follow from ``seed`` and the offset.

    Its ETag does not depend on the bytes, so even 100 GiB cost nothing; ask for a checksum
    (``algorithm``) only where reading every byte once is affordable.
    """
    content = GeneratedContent(size_bytes, seed=seed)
    count = "" if part_size_bytes is None else f"-{max(1, -(-size_bytes // part_size_bytes))}"
    name = hashlib.md5(b"%d/%d" % (size_bytes, seed), usedforsecurity=False).hexdigest()
    return make_object(content, algorithm=algorithm, part_size_bytes=part_size_bytes, etag=name + count)


def _etag(content: Content, sizes: tuple[int, ...] | None) -> str:
    if sizes is None:
        return _md5(content, 0, content.size_bytes).hex()
    parts = b"".join(_md5(content, *span) for span in _spans(sizes))
    return f"{hashlib.md5(parts, usedforsecurity=False).hexdigest()}-{len(sizes)}"


def _md5(content: Content, start: int, end: int) -> bytes:
    md5 = hashlib.md5(usedforsecurity=False)
    for piece in pieces(content, start, end):
        md5.update(piece)
    return md5.digest()


def _spans(sizes: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    start = 0
    for size in sizes:
        yield start, start + size
        start += size


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
