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
from typing import Literal

from awscrt import checksums as crt

from bulkhaul.testing.faultserver.contents import BytesContent, Content

from .contents import MIB, GeneratedContent, pieces

Algorithm = Literal["CRC32", "CRC32C", "CRC64NVME", "SHA256"]
ChecksumType = Literal["FULL_OBJECT", "COMPOSITE"]

#: Above this an ETag is not worth reading every byte: S3 does not promise that it is an MD5.
_WHOLE_MD5_BYTES = 64 * MIB
_LAST_MODIFIED = datetime(2024, 5, 17, 12, 34, 56, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as the server knows it.

    ``etag`` and the checksum values are as S3 prints them, without quotes; a COMPOSITE checksum
    ends in ``-N``. ``part_sizes`` is None for an object that was put in one request, and
    ``part_checksums`` holds one value a part, in order, where S3 would have kept them. ``headers``
    are the others that it was stored with (Cache-Control, server-side encryption), as replied.
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
    headers: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    tags: Mapping[str, str] = field(default_factory=dict)

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
        part_checksums = {algorithm: tuple(map(base64_of, parts))} if parts else {}
        if checksum_type == "COMPOSITE":
            if not parts:
                raise ValueError("a composite checksum needs parts; give part_size_bytes")
            whole = digest(BytesContent(b"".join(parts)), algorithm)
            checksums[algorithm] = f"{base64_of(whole)}-{len(parts)}"
        else:
            checksums[algorithm] = base64_of(digest(content, algorithm))
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


def md5_of(content: Content) -> bytes:
    """Return the MD5 that an ETag shows; of the ends and the size where reading it all is too much."""
    size = content.size_bytes
    if size <= _WHOLE_MD5_BYTES:
        return _md5(content, 0, size)
    ends = _md5(content, 0, MIB) + _md5(content, size - MIB, size)
    return hashlib.md5(b"%d/%b" % (size, ends), usedforsecurity=False).digest()


def base64_of(value: bytes) -> str:
    """Return base64 as text."""
    return base64.b64encode(value).decode("ascii")


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
