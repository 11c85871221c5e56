"""Stores symbolic links as objects that hold their targets, and makes links of such objects again; ``policy.links``."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import msgspec

from bulkhaul.disk.links import make_link, remove_link, target_of
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.messages.memory import in_memory
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.endpoints import Destination
from bulkhaul.engine.transfers.move_source import not_removed, require_stored
from bulkhaul.engine.transfers.result import result_of, upload_result
from bulkhaul.model.errors import TransferError, UnsafeKey
from bulkhaul.model.objects import Integrity, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.file_metadata import with_kept
from bulkhaul.policy.links import MAX_TARGET_BYTES, refused_target, restored_path, stored_key
from bulkhaul.wire.values import RemoteObject

Send = Callable[[int, int, ObjectRef, ObjectOptions], Awaitable[TransferResult]]
"""Stores so many bytes of a descriptor."""


async def store_link(
    control: Control,
    send: Send,
    path: str,
    ref: ObjectRef,
    options: ObjectOptions,
    *,
    kept: frozenset[Kept],
    remove: bool,
    dry_run: bool,
    on_refused: Callable[[str, str], None],
) -> TransferResult:
    """Store a link; its key gets the suffix.

    Args:
        kept: of its modification time; a link has no mode of its own.
        remove: remove the link once a HEAD has shown its object.
        on_refused: called with the path, and why no download makes this link again, wherever it goes.

    Raises:
        SourceChanged: it leads elsewhere meanwhile; it was not removed.
        TransferError: it could not be done.
    """
    target = target_of(path)
    if why := refused_target(os.fsdecode(target), ref.key.count("/")):
        on_refused(path, why)
    ref = ObjectRef(ref.bucket, stored_key(ref.key, path))
    if dry_run:
        return upload_result(path, ref, len(target))
    try:
        stored_as = with_kept(options, os.lstat(path), kept - {Kept.MODE})
    except OSError as error:
        raise local_error(error, path) from error
    with in_memory(target) as fd:
        result = await send(fd, len(target), ref, stored_as)
    if remove:
        try:
            await require_stored(control, ref, result.size, result.etag)
        except TransferError as error:
            raise not_removed(error, path, ref.url) from error
        remove_link(path, target)
    return msgspec.structs.replace(result, source=path)


async def restore_link(
    control: Control, remote: RemoteObject, destination: Destination, *, mtime_ns: int | None, fsync: bool
) -> TransferResult:
    """Make the link that an object tells of, if it stays below the destination.

    Raises:
        UnsafeKey: it would not, or the object holds no target.
        LocalError: a file or a folder has its name, or the file system refuses.
        TransferError: the object could not be read.
    """
    ref, head = remote.ref, remote.head
    if head.size > MAX_TARGET_BYTES:
        raise UnsafeKey(f"no link is made of it: {head.size} bytes are no target of a link", ref.url)
    target = await control.read(ref, etag=head.etag) if head.size else b""
    if refused := refused_target(os.fsdecode(target), destination.depth):
        raise UnsafeKey(f"no link is made of it: {refused}", ref.url)
    name, path = restored_path(destination.name, ref.key), restored_path(destination.path, ref.key)
    make_link(destination.folder.fd, name, path, target, mtime_ns=mtime_ns, fsync=fsync)
    integrity = Integrity.ETAG if head.etag else Integrity.LENGTH
    return msgspec.structs.replace(result_of(ref, head, path), integrity=integrity, parts=1)
