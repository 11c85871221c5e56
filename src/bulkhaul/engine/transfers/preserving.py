"""Has a copy keep what was asked for: read before it, sent along with it, and read back from it.

Nothing is set on an object that exists already: grants and locks go with the request that makes the copy, so a service
that refuses them makes none. One that passes over them in silence is found out by what it tells of the copy.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.copy_source import completed_options
from bulkhaul.model.errors import AccessDenied, TransferError, Unsupported, error_of
from bulkhaul.model.objects import Content, ObjectRef
from bulkhaul.model.preserving import Acl, Kept, ObjectLock
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.file_metadata import MODE, MTIME
from bulkhaul.policy.preserving import OF_FILES, lock_in_force, require_compatible, same_acl, with_acl
from bulkhaul.wire.values import RemoteObject


class Preserved(msgspec.Struct, frozen=True):
    """What a copy has to have in common with its source.

    Attributes:
        options: how the copy is stored.
        acl, lock: of the source; None where they are not to be kept.
        kept: what was asked for.
    """

    options: ObjectOptions
    kept: frozenset[Kept]
    acl: Acl | None = None
    lock: ObjectLock | None = None


async def preserved(
    control: Control,
    source: RemoteObject,
    options: ObjectOptions | None,
    kept: frozenset[Kept],
    *,
    storage_class: str = "",
) -> Preserved:
    """Return what a copy is to be stored with, so that it keeps what was asked for.

    Args:
        control: asks the service of the source.
        storage_class: of the copy, where neither the options name one nor that of the source is to be kept.

    Raises:
        UsageError: something is to be both kept and replaced.
        AccessDenied: it may not be read; the message names what.
        Unsupported: an ACL that no request can ask for, or metadata that no header tells.
        TransferError: the service refused.
    """
    require_compatible(options, kept)
    head, ref = source.head, source.ref
    if Kept.METADATA in kept and head.untold_metadata:
        text = f"{head.untold_metadata} entries of its metadata are in no header that the service sends, so no copy"
        raise Unsupported(f"{text} could be given them; leave metadata out of what is preserved", ref.url)
    if Kept.STORAGE_CLASS in kept:
        storage_class = head.storage_class
    options = options or ObjectOptions()
    try:
        if Kept.TAGS in kept:  # HEAD leaves out their number where the caller may not read them
            options = msgspec.structs.replace(options, tags=await control.tags(ref, head.version_id))
        acl = await control.acl(ref, head.version_id) if Kept.ACL in kept else None
        lock = await control.lock(ref, head.version_id) if Kept.LOCK in kept else None
    except AccessDenied as error:
        text = f"what is to be preserved ({', '.join(sorted(kept))}) cannot be read: {error.message}"
        raise error_of(msgspec.structs.replace(error.info, message=text)) from error
    options = await completed_options(control, source, options, storage_class=storage_class)
    if acl is not None:
        options = with_acl(options, acl, ref.url)
    if lock is not None:
        lock = lock_in_force(lock, datetime.now(UTC))
        options = msgspec.structs.replace(options, lock=lock)
    return Preserved(options, kept, acl, lock)


async def require_preserved(control: Control, source: RemoteObject, copied: TransferResult, wanted: Preserved) -> None:
    """Make sure that a copy has what it was to keep.

    Args:
        control: asks the service of the copy.

    Raises:
        Unsupported: something is lost; the message says what, and that the copy is there.
        TransferError: the copy could not be looked at.
    """
    ref, version_id = ObjectRef(copied.bucket, copied.key), copied.version_id
    try:
        lost = await _lost(control, ref, version_id, source, wanted)
    except TransferError as error:
        text = f"it was copied to {ref.url}, but what of it was kept cannot be read: {error.message}"
        raise error_of(msgspec.structs.replace(error.info, message=text, subject=source.ref.url)) from error
    if lost:
        text = (
            f"it was copied to {ref.url}, but without its {' and '.join(lost)}: the service took the request and did"
            " not keep what it asked for; the copy stays, look at it or leave this out of what is preserved"
        )
        raise Unsupported(text, source.ref.url)


async def _lost(
    control: Control, ref: ObjectRef, version_id: str, source: RemoteObject, wanted: Preserved
) -> list[str]:
    kept, options = wanted.kept, wanted.options
    lost: list[str] = []
    if kept & {Kept.METADATA, Kept.STORAGE_CLASS, *OF_FILES}:
        copy = await control.head(ref, version_id)
        if Kept.METADATA in kept and not _holds(copy.content, source.head.content):
            lost.append(Kept.METADATA)
        if Kept.STORAGE_CLASS in kept and copy.storage_class != source.head.storage_class:
            lost.append(Kept.STORAGE_CLASS)
        for one, name in ((Kept.TIMESTAMPS, MTIME), (Kept.MODE, MODE)):
            if one in kept and copy.content.metadata.get(name) != source.head.content.metadata.get(name):
                lost.append(one)
    if Kept.TAGS in kept and await control.tags(ref, version_id) != options.tags:
        lost.append(Kept.TAGS)
    if wanted.acl is not None and not same_acl(wanted.acl, await control.acl(ref, version_id)):
        lost.append(Kept.ACL)
    if wanted.lock is not None and not _locked(await control.lock(ref, version_id), wanted.lock):
        lost.append(Kept.LOCK)
    return lost


def _holds(copy: Content, source: Content) -> bool:
    """Tell whether a copy has every header and all metadata of its source; a service may add a type of its own."""
    told = {name: getattr(source, name) for name in Content.__struct_fields__ if getattr(source, name)}
    return copy.metadata == source.metadata and all(getattr(copy, name) == value for name, value in told.items())


def _locked(copy: ObjectLock, source: ObjectLock) -> bool:
    """Tell whether a copy is locked at least as long, and as hard: a bucket may have a lock of its own."""
    if source.legal_hold and not copy.legal_hold:
        return False
    if not source.mode:
        return True
    hard = source.mode == copy.mode or copy.mode == "COMPLIANCE"
    return hard and _second(copy.until) >= _second(source.until)


def _second(instant: str) -> int:
    return int(datetime.fromisoformat(instant).timestamp())


__all__ = ["Preserved", "preserved", "require_preserved"]
