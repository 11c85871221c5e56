"""Reads what replies tell of archived objects: whether one is brought back, until when it stays, what a request did."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bulkhaul.model.archives import ONGOING, RestoreAnswer
from bulkhaul.model.errors import Archived, Conflict, TransferError, UnexpectedReply, Unsupported
from bulkhaul.policy.filetimes import iso_text
from bulkhaul.wire.documents import refused
from bulkhaul.wire.instants import instant as read_instant
from bulkhaul.wire.replies.fields import instant

_TOLD = re.compile(r'ongoing-request="(true|false)"(?:, ?expiry-date="([^"]{1,64})")?')
"""Source: S3 API Reference, HeadObject, ``x-amz-restore``."""

_ANSWERS = {202: RestoreAnswer.BEGUN, 200: RestoreAnswer.EXTENDED}
"""Source: S3 API Reference, RestoreObject, "Response Syntax"."""


def told_restore(header: str | None, subject: str) -> str:
    """Return what HEAD tells in ``x-amz-restore``; see ``ObjectHead.restore``.

    Raises:
        UnexpectedReply: it is nothing that it can be.
    """
    if header is None:
        return ""
    found = _TOLD.fullmatch(header)
    if found is None:
        raise refused("x-amz-restore", header).about(subject)
    if found[1] == "true":
        return ONGOING
    try:
        return iso_text(read_instant(found[2])) if found[2] else ""
    except ValueError as error:
        raise refused("x-amz-restore", header).about(subject) from error


def listed_restore(told: object, subject: str) -> str:
    """Return what an entry of a listing tells in ``RestoreStatus``; see ``ObjectHead.restore``.

    Args:
        told: its members, or a list of what was found under the name; None for nothing.

    Raises:
        UnexpectedReply: it comes twice.
    """
    if isinstance(told, Sequence):
        if len(told) > 1:
            raise refused("RestoreStatus", "it comes twice").about(subject)
        told = told[0] if told else None
    if not isinstance(told, Mapping):
        return ""
    return ONGOING if told.get("IsRestoreInProgress") else iso_text(instant(told.get("RestoreExpiryDate")))


def restore_answer(status: int, subject: str) -> RestoreAnswer:
    """Return what a request to restore came to, by the status of a reply that reports success.

    Raises:
        UnexpectedReply: no service answers so.
    """
    if status not in _ANSWERS:
        raise UnexpectedReply("the reply to RestoreObject is none", subject, f"HTTP {status}")
    return _ANSWERS[status]


def restore_refused(error: TransferError, subject: str) -> RestoreAnswer:
    """Return what a refused request to restore came to all the same.

    Raises:
        Unsupported: the object is in no archive.
        TransferError: it was refused for another reason.
    """
    if isinstance(error, Conflict) and error.info.service_code == "RestoreAlreadyInProgress":
        return RestoreAnswer.UNDER_WAY
    if isinstance(error, Archived):  # the code that a GET of an archived object has, too
        text = "the object is in no archive, so it cannot be restored; it can be read as it is"
        raise Unsupported(text, subject, error.cause) from error
    raise error


def restore_request(days: int, tier: str) -> dict[str, Any]:
    """Return the members of a RestoreRequest.

    Args:
        days: 0 leaves them out, as INTELLIGENT_TIERING wants it: its objects come back for good.
        tier: of ``model.archives.Tier``.
    """
    return ({"Days": days} if days else {}) | {"GlacierJobParameters": {"Tier": tier.capitalize()}}


__all__ = ["listed_restore", "restore_answer", "restore_refused", "restore_request", "told_restore"]
