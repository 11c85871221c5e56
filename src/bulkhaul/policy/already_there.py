"""Decides whether an object may be the one that an interrupted run has stored, and what would prove it.

length, class and headers as they would be stored ─▶ copy    the ETag of its source
                                                  │          and what it keeps of that
                                                  ╰▶ upload  the checksum, or the MD5, of the file
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.objects import Checksum, ChecksumKind, ObjectHead
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.sameness import same_etag
from bulkhaul.policy.verification import plain_md5


def as_stored(head: ObjectHead, size_bytes: int, options: ObjectOptions | None) -> bool:
    """Tell whether an object looks as it would if it were stored now; what HEAD does not tell counts as different.

    Args:
        size_bytes: of the source.
        options: how it would be stored; None for a copy that keeps everything.
    """
    if head.size != size_bytes:
        return False
    if options is None:
        return True
    if options.tags or options.acl or options.sse_kms_key_id:
        return False
    if options.storage_class not in ("", "STANDARD", head.storage_class):
        return False
    if options.storage_class == "STANDARD" and head.storage_class not in ("", "STANDARD"):
        return False
    if options.sse and options.sse != head.encryption:
        return False
    asked = msgspec.structs.asdict(options.content)
    return all(value == getattr(head.content, name) for name, value in asked.items() if value)


def same_copy(source_etag: str, head: ObjectHead) -> bool:
    """Tell whether a copy has the very bytes of its source: both have one ETag, and it is no weak one."""
    return bool(source_etag) and not source_etag.startswith("W/") and same_etag(source_etag, head.etag)


def keeps_alike(head: ObjectHead, source: ObjectHead, options: ObjectOptions | None) -> bool:
    """Tell whether an object has what a copy keeps of its source; HEAD tells no tags, so two with tags may differ.

    Args:
        options: what they name is not kept.
    """
    if head.tags or source.tags:
        return False
    if not (options and options.storage_class) and head.storage_class != source.storage_class:
        return False
    named = msgspec.structs.asdict(options.content) if options is not None else {}
    kept = msgspec.structs.asdict(source.content) | {name: value for name, value in named.items() if value}
    return kept == msgspec.structs.asdict(head.content)


def holds_no_more(head: ObjectHead, options: ObjectOptions) -> bool:
    """Tell whether an object has no metadata or tags that an upload would not give it."""
    return not head.tags and head.content.metadata == options.content.metadata


def proof_of_file(head: ObjectHead, *, computable: frozenset[str]) -> Checksum | None:
    """Return the checksum that a file must have to be the object; None if nothing can prove it.

    Returns:
        One of ``computable`` in base64, or an MD5 in hexadecimal digits.

    Source: S3 API, Object.ETag: an MD5 only for objects stored in the clear or with SSE-S3, in one part.
    """
    stored = head.checksum
    if stored is not None and stored.kind is ChecksumKind.FULL_OBJECT and stored.algorithm in computable:
        return stored
    if head.encryption in ("", "AES256") and (md5_hex := plain_md5(head.etag)):
        return Checksum("MD5", md5_hex)
    return None
