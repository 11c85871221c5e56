"""Defines the values of requests that write, and of what the service answers: options, uploads, deletions, pages."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from bulkhaul.model.objects import Bucket, Checksum, Content, ObjectHead
from bulkhaul.model.preserving import Grant, ObjectLock

ChecksumChoice = Literal["auto", "CRC64NVME", "CRC32C", "CRC32", "none"]
"""``auto`` lets the endpoint's profile decide; ``none`` sends no checksum at all."""


class ObjectOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an object is to be stored; the service decides what a field leaves empty.

    Attributes:
        content: headers that the object is given back with.
        storage_class: as the service names it, such as ``STANDARD_IA``.
        acl: a canned ACL, such as ``bucket-owner-full-control``.
        sse: server-side encryption: ``AES256``, ``aws:kms`` or ``aws:kms:dsse``.
        sse_kms_key_id: key of ``aws:kms``; empty for the account's own.
        tags: at most 10.
        grants: in the place of a canned ACL.
        lock: what keeps it from being deleted, in a bucket with Object Lock.
    """

    content: Content = Content()
    storage_class: str = ""
    acl: str = ""
    sse: str = ""
    sse_kms_key_id: str = ""
    tags: dict[str, str] = {}
    grants: tuple[Grant, ...] = ()
    lock: ObjectLock = ObjectLock()


DEFAULT_OPTIONS = ObjectOptions()
"""Everything is left to the service."""


class UploadBegun(msgspec.Struct, frozen=True):
    """A multipart upload that was created.

    Attributes:
        algorithm: the checksum of the whole object that the service said it will keep; empty if it said none, or one
            of the parts' checksums.
    """

    upload_id: str
    algorithm: str = ""


class UploadedPart(msgspec.Struct, frozen=True):
    """One part that the service holds. ``checksum``: base64, of the upload's algorithm, empty where untold."""

    number: int
    size_bytes: int
    etag: str
    checksum: str = ""


class PartsPage(msgspec.Struct, frozen=True):
    """One page of the parts of an upload; ``next_marker`` is 0 on the last one."""

    parts: tuple[UploadedPart, ...]
    next_marker: int = 0


class PendingUpload(msgspec.Struct, frozen=True):
    """A multipart upload that was begun and neither completed nor aborted. ``initiated``: in UTC; None where untold."""

    key: str
    upload_id: str
    initiated: datetime | None = None


class UploadsPage(msgspec.Struct, frozen=True):
    """One page of pending uploads; empty markers on the last one."""

    uploads: tuple[PendingUpload, ...]
    next_key_marker: str = ""
    next_id_marker: str = ""


class Stored(msgspec.Struct, frozen=True):
    """What the service said of an object that it has just stored.

    Attributes:
        checksum: of the stored object, where the reply told one.
    """

    etag: str = ""
    version_id: str = ""
    checksum: Checksum | None = None


Versioning = Literal["", "Enabled", "Suspended"]
"""Whether a bucket keeps versions; empty for one that never did."""


class ObjectVersion(msgspec.Struct, frozen=True):
    """One version of an object, or a delete marker.

    Attributes:
        size: length in bytes, 0 for a delete marker.
        last_modified: as the service says, in UTC.
        doubtful: it may be newer than the one that comes before it: the service tells only that both are of one time.
    """

    key: str
    version_id: str
    size: int = 0
    etag: str = ""
    last_modified: datetime | None = None
    latest: bool = False
    delete_marker: bool = False
    doubtful: bool = False


class VersionsPage(msgspec.Struct, frozen=True):
    """One page of versions; empty markers on the last one."""

    versions: tuple[ObjectVersion, ...]
    next_key_marker: str = ""
    next_version_marker: str = ""


class ObjectsPage(msgspec.Struct, frozen=True):
    """One page of a listing; the token is empty on the last one.

    Attributes:
        prefixes: of the folders that lie below, where the listing stops at slashes; each ends in a slash.
    """

    objects: tuple[ObjectHead, ...]
    next_token: str = ""
    prefixes: tuple[str, ...] = ()


class BucketsPage(msgspec.Struct, frozen=True):
    """One page of buckets; the token is empty on the last one."""

    buckets: tuple[Bucket, ...]
    next_token: str = ""


class Doomed(msgspec.Struct, frozen=True):
    """One key to delete.

    Attributes:
        version_id: where it is that version only.
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.
        marker: the version is a delete marker, as a listing has told.
    """

    key: str
    version_id: str = ""
    etag: str = ""
    marker: bool = False


class NotDeleted(msgspec.Struct, frozen=True):
    """A key of a batch that the service did not delete, with its own code and message.

    Attributes:
        unconfirmed: the service did not say what became of it.
    """

    key: str
    version_id: str = ""
    service_code: str = ""
    message: str = ""
    unconfirmed: bool = False


class CopySource(msgspec.Struct, frozen=True):
    """The object that a copy is made of.

    Attributes:
        etag: the object must still have it; empty to copy any object of that key.
        version_id: empty for the current one.
    """

    bucket: str
    key: str
    etag: str = ""
    version_id: str = ""
