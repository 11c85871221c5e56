"""Defines the values that describe an object in a bucket: name, content headers, checksum, HEAD."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

TOKEN_KEY = "bulkhaul-token"  # noqa: S105 - a name, no secret
"""User metadata that tells whether an ambiguous write was ours: a nonce of each multipart or conditional write."""


class Integrity(StrEnum):
    """What the success of a transfer rests on, strongest first.

    ``checksum``: every byte is covered by a checksum of the service that matched.
    ``etag``: every reply carried the same ETag, and every length matched.
    ``length``: lengths matched; the endpoint sends no ETag, or checks were switched off.
    """

    CHECKSUM = "checksum"
    ETAG = "etag"
    LENGTH = "length"


class Verify(StrEnum):
    """How much is checked before publishing.

    ``auto``: the object's stored checksum where it has one that can be computed here.
    ``full``: also a plain-MD5 ETag, by reading the file back.
    ``none``: lengths and ETags of replies only.
    """

    AUTO = "auto"
    FULL = "full"
    NONE = "none"


class ChecksumKind(StrEnum):
    """Whether a checksum covers the bytes of the object, or the checksums of its parts.

    ``UNKNOWN``: the service does not say, and the object was uploaded in parts.
    """

    FULL_OBJECT = "FULL_OBJECT"
    COMPOSITE = "COMPOSITE"
    UNKNOWN = "UNKNOWN"


class Checksum(msgspec.Struct, frozen=True):
    """A checksum as the service stores it.

    Attributes:
        algorithm: ``CRC32``, ``CRC32C``, ``CRC64NVME``, ``SHA1``, ``SHA256`` …
        value: base64 of the digest in network byte order; a composite one ends in ``-<parts>``.
    """

    algorithm: str
    value: str
    kind: ChecksumKind = ChecksumKind.FULL_OBJECT


class ObjectRef(msgspec.Struct, frozen=True):
    """The name of an object. Keys are used as they are, never normalised."""

    bucket: str
    key: str

    @property
    def url(self) -> str:
        """``s3://bucket/key``, for people: not escaped."""
        return f"s3://{self.bucket}/{self.key}"


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The headers that an object is stored with and given back with, empty where there is none.

    Attributes:
        expires: an HTTP date, as it was stored.
        website_redirect: where a bucket that is a website sends those who ask for the object.
        metadata: user metadata, names in lower case, without those that bulkhaul itself adds.
    """

    content_type: str = ""
    content_disposition: str = ""
    content_encoding: str = ""
    content_language: str = ""
    cache_control: str = ""
    expires: str = ""
    website_redirect: str = ""
    metadata: dict[str, str] = {}

    def with_token(self, token: str) -> Content:
        """Return the same with metadata that tells one write of the object from every other one."""
        return msgspec.structs.replace(self, metadata={**self.metadata, TOKEN_KEY: token})


class ObjectInfo(msgspec.Struct, frozen=True):
    """One object, for callers of a store.

    Attributes:
        size: length in bytes.
        last_modified: as the service says, in UTC.
        etag: opaque, with its quotes; None where the service sent none, and in listings (contract row C9).
        metadata: user metadata, names in lower case; empty in listings.
        version_id: empty in a bucket without versions.
    """

    key: str
    size: int
    last_modified: datetime | None = None
    etag: str | None = None
    metadata: dict[str, str] = {}
    version_id: str = ""
    content: Content = Content()
    checksum: Checksum | None = None
    storage_class: str = ""


class VersionInfo(msgspec.Struct, frozen=True):
    """One version of an object, or a delete marker, for callers of a store.

    Attributes:
        size: length in bytes, 0 for a delete marker.
        last_modified: as the service says, in UTC.
        latest: it is what a read without a version id gives, or finds nothing by if it is a delete marker.
    """

    key: str
    version_id: str
    size: int = 0
    last_modified: datetime | None = None
    etag: str | None = None
    latest: bool = False
    delete_marker: bool = False


class FolderListing(msgspec.Struct, frozen=True):
    """What a listing that stops at slashes tells.

    Attributes:
        objects: whose keys have no slash after the prefix.
        common_prefixes: of what lies below, each up to its next slash.
    """

    objects: list[ObjectInfo]
    common_prefixes: list[str]


class ObjectHead(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What HEAD, LIST or GET said about an object.

    Attributes:
        size: length in bytes.
        etag: opaque, with its quotes; empty where the service sent none.
        last_modified: as the service says, in UTC; None where unknown.
        version_id: version of the object in a versioned bucket, else empty.
        checksum: the stored checksum, where HEAD told one.
        encryption: server-side encryption as the service names it; with KMS or a customer's key an ETag is no MD5.
        storage_class: as the service names it, empty for the standard one.
        tags: how many tags the object has, where HEAD told it.
        untold_metadata: entries of its metadata that no header can tell; a copy that is given its headers loses them.
        token: ``TOKEN_KEY`` of its metadata, empty where there is none.
        restore: of an archived object: ``ongoing`` while it is brought back, then until when the copy stays (ISO 8601);
            empty where nothing is told. Listings tell it where they are asked for it.
        archive: the archive tier of INTELLIGENT_TIERING that it lies in, where HEAD told one.
    """

    key: str
    size: int
    etag: str = ""
    last_modified: datetime | None = None
    version_id: str = ""
    checksum: Checksum | None = None
    encryption: str = ""
    content: Content = Content()
    storage_class: str = ""
    tags: int = 0
    token: str = ""
    restore: str = ""
    archive: str = ""
    untold_metadata: int = 0


class Bucket(msgspec.Struct, frozen=True):
    """A bucket of the caller's. ``created``: in UTC; None where untold."""

    name: str
    created: datetime | None = None


class PartChecksum(msgspec.Struct, frozen=True):
    """One uploaded part of an object: its length and, where the service tells it, its checksum (base64)."""

    size_bytes: int
    value: str = ""
