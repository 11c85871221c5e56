"""Reads what keeps an object from being deleted: retention and legal hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bulkhaul.model.errors import UnexpectedReply

MODES = frozenset({"GOVERNANCE", "COMPLIANCE"})
"""Source: S3 API Reference, ObjectLockRetention."""

UNLOCKED = frozenset(
    {
        *("NoSuchObjectLockConfiguration", "ObjectLockConfigurationNotFoundError", "NoSuchObjectLegalHold"),
        "InvalidRequest",
    }
)
"""Codes by which services say that an object, or its bucket, has no lock. S3 says InvalidRequest of the bucket, and
nothing else of these requests can be invalid; SeaweedFS has a code for the legal hold."""


def retention_of(reply: Mapping[str, Any], subject: str) -> tuple[str, str]:
    """Return (mode, end in ISO 8601 and UTC) of the retention that a reply tells; both are empty for none.

    Raises:
        UnexpectedReply: it tells no mode that is known, or no end.
    """
    told = reply.get("Retention") or {}
    if not told.get("Mode") and not told.get("RetainUntilDate"):
        return "", ""
    mode, until = told.get("Mode"), told.get("RetainUntilDate")
    if mode not in MODES or not isinstance(until, datetime) or until.tzinfo is None:
        raise UnexpectedReply("the reply tells a retention that can be none", subject, f"{mode!s:.80} {until!s:.80}")
    return str(mode), until.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hold_of(reply: Mapping[str, Any], subject: str) -> bool:
    """Return whether the object has a legal hold.

    Raises:
        UnexpectedReply: it tells neither.
    """
    status = (reply.get("LegalHold") or {}).get("Status", "OFF")
    if status not in ("ON", "OFF"):
        raise UnexpectedReply("the reply tells a legal hold that can be none", subject, f"{status!s:.80}")
    return bool(status == "ON")


__all__ = ["MODES", "UNLOCKED", "hold_of", "retention_of"]
