"""Looks at the object that is copied, and fills in what its copy keeps: headers, metadata, tags, storage class."""

from __future__ import annotations

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.model.files import SourceObject
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead, ObjectRef
from bulkhaul.model.writing import CopySource, ObjectOptions
from bulkhaul.policy.preserving import replaces_headers
from bulkhaul.policy.sameness import require_wanted
from bulkhaul.policy.storerules import check_object_size
from bulkhaul.wire.checksums import CRC_BYTES
from bulkhaul.wire.values import RemoteObject


async def find_source(
    control: Control, ref: ObjectRef, version_id: str, limits: S3Limits, wanted: ObjectHead | None = None
) -> RemoteObject:
    """Return the object that is to be copied; its head tells the version that was asked for.

    Args:
        wanted: what a plan tells of it, None for whatever is there.

    Raises:
        NotFound: there is no such object.
        PreconditionFailed: it has another ETag than the one that is wanted.
        PayloadTooLarge: it is longer than an object may be.
    """
    source = await control.look(ref, version_id)
    if wanted is not None:
        require_wanted(source.head, wanted, ref.url)
    check_object_size(source.head.size, limits=limits)
    if not version_id:
        return source
    # Not every service tells the version.
    head = msgspec.structs.replace(source.head, version_id=version_id)
    return msgspec.structs.replace(source, head=head)


def as_found(ref: ObjectRef, head: ObjectHead) -> CopySource:
    """Return what the service is to copy: an object, on condition that it is still the one that ``head`` tells of."""
    return CopySource(ref.bucket, ref.key, head.etag, head.version_id)


def source_object(source: RemoteObject) -> SourceObject | None:
    """Return by what an object is recognised when its copy goes on after a kill; None without an ETag."""
    head, ref = source.head, source.ref
    if not head.etag:
        return None
    return SourceObject(source.target.endpoint, ref.bucket, ref.key, head.version_id, head.etag, head.size)


async def completed_options(
    control: Control, source: RemoteObject, options: ObjectOptions, *, storage_class: str = ""
) -> ObjectOptions:
    """Return options with the headers and metadata of the source where they name none, and likewise its tags.

    To the service, options are all or nothing: a new storage class alone would lose the metadata. Where headers are
    replaced without a content type, it is guessed from the name of the source, as of an upload. A redirect goes with
    either. Encryption is left to the destination.

    Args:
        storage_class: of the copy, where the options name none.

    Raises:
        TransferError: its tags could not be asked for.
    """
    if replaces_headers(options.content):
        content = with_content_type(options, source.ref.key).content
    else:
        redirect = options.content.website_redirect or source.head.content.website_redirect
        content = msgspec.structs.replace(source.head.content, website_redirect=redirect)
    tags = options.tags or await tags_of(control, source.ref, source.head)
    return msgspec.structs.replace(
        options, content=content, tags=tags, storage_class=options.storage_class or storage_class
    )


async def tags_of(control: Control, ref: ObjectRef, head: ObjectHead) -> dict[str, str]:
    """Return an object's tags; they are asked for only where its head says that it has any.

    Raises:
        TransferError: the service refused.
    """
    return await control.tags(ref, head.version_id) if head.tags else {}


def foldable_checksum(head: ObjectHead) -> Checksum | None:
    """Return the object's checksum if it can be computed from those of its parts, else None."""
    stored = head.checksum
    if stored is None or stored.kind is not ChecksumKind.FULL_OBJECT or stored.algorithm not in CRC_BYTES:
        return None
    return stored
