"""Reads what keeps an object from being deleted, by two requests: one for its retention, one for its legal hold.

HEAD tells both, but leaves out what the caller may not ask for: that an object has no lock would be a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bulkhaul.model.errors import TransferError
from bulkhaul.model.preserving import ObjectLock
from bulkhaul.wire.replies.object_lock import UNLOCKED, hold_of, retention_of
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def object_lock(sdk: SdkClient, bucket: str, key: str, version_id: str) -> ObjectLock:
    """Return what keeps an object from being deleted; nothing where its bucket has no Object Lock.

    Raises:
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    subject = f"s3://{bucket}/{key}"
    names = object_names(bucket, key, version_id)
    mode, until = retention_of(_told(sdk.client.get_object_retention, subject, names), subject)
    return ObjectLock(mode, until, hold_of(_told(sdk.client.get_object_legal_hold, subject, names), subject))


def _told(operation: Callable[..., dict[str, Any]], subject: str, names: dict[str, str]) -> dict[str, Any]:
    try:
        return call(operation, subject=subject, **names)
    except TransferError as error:
        if error.info.service_code in UNLOCKED:
            return {}
        raise


__all__ = ["object_lock"]
