"""Tells what came of an object that a store keeps by itself, without a service."""

from __future__ import annotations

from bulkhaul.model.objects import Integrity, ObjectInfo
from bulkhaul.model.results import TransferResult


def kept_result(bucket: str, info: ObjectInfo, *, source: str, destination: str) -> TransferResult:
    """Return the result of a transfer that ended with this object.

    Args:
        bucket: the bucket's name, or the folder's path.
    """
    return TransferResult(
        source=source,
        destination=destination,
        bucket=bucket,
        key=info.key,
        size=info.size,
        etag=info.etag or "",
        last_modified=info.last_modified,
        integrity=Integrity.ETAG,
    )
