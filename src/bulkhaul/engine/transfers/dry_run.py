"""Says what would be done with one object, and touches nothing; it must not move any bytes."""

from __future__ import annotations

import os

from bulkhaul.disk.paths import local_path
from bulkhaul.disk.source import Source
from bulkhaul.disk.walk import NOT_FOLLOWED
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.endpoints import destination_prefix, destination_ref, file_path, many_source, object_ref
from bulkhaul.model.errors import NotFound
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.selection import selector
from bulkhaul.policy.storerules import copies_nothing, same_object


async def planned_download(
    control: Control, url: str | ObjectRef, path: str | os.PathLike[str], version_id: str = ""
) -> TransferResult:
    """Return what the download of an object would do.

    Raises:
        NotFound: there is no such object.
        TransferError: its key gives no file name.
    """
    ref = object_ref(url)
    return _of(ref, await control.head(ref, version_id), file_path(ref, local_path(path)), ref)


def planned_upload(path: str | os.PathLike[str], url: str) -> TransferResult:
    """Return what the upload of a file would do.

    Raises:
        LocalError: it is missing, unreadable, or no regular file.
        UsageError: the URL names no key.
    """
    file = local_path(path)
    ref = destination_ref(url, file)
    source = Source.open(file)
    source.close()
    return TransferResult(
        source=file, destination=ref.url, bucket=ref.bucket, key=ref.key, size_bytes=source.size_bytes
    )


def left_out(path: str | os.PathLike[str], url: str) -> TransferResult:
    """Return the result of a symbolic link that is named itself where links are left out.

    Raises:
        InvalidUrl: the URL names no bucket.
    """
    bucket, _ = destination_prefix(url)
    return TransferResult(source=local_path(path), destination="", bucket=bucket, key="", skipped=NOT_FOLLOWED)


def planned_stream(url: str) -> TransferResult:
    """Return what the upload of a stream would do; its length shows at its end only.

    Raises:
        UsageError: the URL names no key.
    """
    ref = object_ref(url)
    return TransferResult(source="-", destination=ref.url, bucket=ref.bucket, key=ref.key)


async def planned_copy(
    control: Control,
    source: str | ObjectRef,
    destination: str,
    options: ObjectOptions | None,
    version_id: str,
    *,
    move: bool,
    relayed: bool,
) -> TransferResult:
    """Return what the copy of an object would do.

    Args:
        control: of the source's endpoint.
        options, version_id, move: see ``AsyncEngine.copy``.
        relayed: source and destination are of different services, or owners: no object is the other one.

    Raises:
        NotFound: there is no such object.
        UsageError: the destination names no key, or source and destination are the same object.
    """
    ref = object_ref(source)
    target = destination_ref(destination, ref.key)
    info = await control.head(ref, version_id)
    if not relayed and copies_nothing(ref, target, options, version_id, move=move):
        raise same_object(ref.url)
    return _of(ref, info, target.url, target)


async def planned_reading(control: Control, url: str | ObjectRef, version_id: str = "") -> TransferResult:
    """Return what writing an object to a stream would do.

    Raises:
        NotFound: there is no such object.
    """
    ref = object_ref(url)
    return _of(ref, await control.head(ref, version_id), "-", ref)


async def matching_urls(control: Control, url: str) -> list[str]:
    """Return the URLs of what a pattern matches, in the order of keys; all are held in memory.

    Raises:
        NotFound: nothing matches.
    """
    source = many_source(url, recursive=False)
    takes = selector(source)
    found = [one.key async for page in control.pages(source.bucket, source.prefix) for one in page if takes(one.key)]
    if not found:
        raise NotFound("no object matches", url)
    return [ObjectRef(source.bucket, key).url for key in sorted(found, key=str.encode)]


def _of(source: ObjectRef, head: ObjectHead, destination: str, named: ObjectRef) -> TransferResult:
    return TransferResult(
        source=source.url,
        destination=destination,
        bucket=named.bucket,
        key=named.key,
        size_bytes=head.size_bytes,
        etag=head.etag,
        version_id=head.version_id,
        last_modified=head.last_modified,
    )
