"""Plans the uploading and the copying of many objects; it must not move anything by itself."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Awaitable, Callable

import msgspec

from bulkhaul.disk.walk import LocalFile, Refused, walk
from bulkhaul.engine.coordinator import Coordinator
from bulkhaul.engine.many import Piece
from bulkhaul.engine.restore import selected
from bulkhaul.model.errors import ErrorInfo, LocalError
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.policy.selection import Source

UploadOne = Callable[[str, ObjectRef], Awaitable[TransferResult]]
CopyOne = Callable[[ObjectRef, ObjectRef], Awaitable[TransferResult]]


async def upload_pieces(
    folder: str,
    bucket: str,
    prefix: str,
    takes: Callable[[str], bool],
    upload: UploadOne,
    *,
    follow_symlinks: bool,
) -> AsyncGenerator[Piece, None]:
    """Yield the work of each file below a folder; what is no regular file fails by name, and the rest goes on.

    A link that is not to be followed is skipped.

    Args:
        prefix: put before each path below the folder.
        takes: whether a path below the folder is selected.

    Raises:
        LocalError: the folder cannot be read, or nothing in it is selected.
    """
    found = False
    for entry in walk(folder, follow_symlinks=follow_symlinks):
        if not isinstance(entry, LocalFile):
            if takes(entry.path.removeprefix(os.path.join(folder, ""))):
                found = True
                yield Piece(_refused(entry, bucket))
            continue
        if not takes(entry.relative):
            continue
        found = True
        ref = ObjectRef(bucket, prefix + entry.relative)
        result = TransferResult(
            source=entry.path, destination=ref.url, bucket=bucket, key=ref.key, size_bytes=entry.size_bytes
        )
        if (length := len(ref.key.encode())) > MAX_KEY_BYTES:
            text = f"its key would have {length} bytes, and a key has at most {MAX_KEY_BYTES}"
            failure = ErrorInfo("LocalError", text, entry.path)
            yield Piece(_failed(result, failure))
        else:
            yield Piece(result, functools.partial(_upload, upload, entry.path, ref))
    if not found:
        raise LocalError("no file matches: the folder is empty, or --include and --exclude leave nothing", folder)


async def copy_pieces(
    coordinator: Coordinator,
    source: Source,
    takes: Callable[[str], bool],
    bucket: str,
    prefix: str,
    copy: CopyOne,
    *,
    within: bool,
) -> AsyncGenerator[Piece, None]:
    """Yield the work of each key that a listing selects.

    Args:
        coordinator: of the source.
        prefix: put before what is left of each key.
        within: source and destination are of one service. Where the destination then lies in the source, what is
            in it is skipped: the listing would come upon the copies, and copy them again, without end.

    Raises:
        NotFound: nothing is selected.
        TransferError: the listing failed.
    """
    nested = within and bucket == source.bucket and prefix != source.base and prefix.startswith(source.base)
    async for info, _ in selected(coordinator, source, takes):
        origin = ObjectRef(source.bucket, info.key)
        ref = ObjectRef(bucket, prefix + info.key.removeprefix(source.base))
        result = TransferResult(
            source=origin.url,
            destination=ref.url,
            bucket=bucket,
            key=ref.key,
            size_bytes=info.size_bytes,
            etag=info.etag,
            last_modified=info.last_modified,
        )
        if not ref.key:
            yield Piece(_failed(result, ErrorInfo("UsageError", "its key would be empty", origin.url)))
        elif nested and info.key.startswith(prefix):
            yield Piece(msgspec.structs.replace(result, skipped="it lies in the destination"))
        else:
            yield Piece(result, functools.partial(_copy, copy, origin, ref))


def key_for(url_key: str, name: str) -> str:
    """Return the key of one object: a destination that is empty or ends in a slash takes the source's last segment."""
    return url_key + os.path.basename(name.rstrip("/")) if not url_key or url_key.endswith("/") else url_key


async def _upload(upload: UploadOne, path: str, ref: ObjectRef) -> TransferResult:
    return await upload(path, ref)


async def _copy(copy: CopyOne, origin: ObjectRef, ref: ObjectRef) -> TransferResult:
    return await copy(origin, ref)


def _refused(entry: Refused, bucket: str) -> TransferResult:
    result = TransferResult(source=entry.path, destination="", bucket=bucket, key="")
    if entry.unwanted:
        return msgspec.structs.replace(result, skipped=entry.reason)
    return _failed(result, ErrorInfo("LocalError", f"it cannot be uploaded: {entry.reason}", entry.path))


def _failed(result: TransferResult, failure: ErrorInfo) -> TransferResult:
    return msgspec.structs.replace(result, failure=failure)
