"""Reads the fields that many replies have in common: checksums, storage classes, instants, ETags of what was stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from bulkhaul.model.errors import ErrorInfo, UnexpectedReply, error_of
from bulkhaul.model.objects import Checksum
from bulkhaul.model.writing import Stored
from bulkhaul.policy.filetimes import in_utc
from bulkhaul.policy.sameness import quoted
from bulkhaul.wire import told
from bulkhaul.wire.documents import refused
from bulkhaul.wire.reply import stored_checksum, untold


def checksum_in(members: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum in the members of a reply (``ChecksumCRC32``, ``ChecksumType`` …)."""
    prefix = "Checksum"
    headers = {
        f"x-amz-checksum-{name.removeprefix(prefix).lower()}": str(value)
        for name, value in members.items()
        if name.startswith(prefix)
    }
    return stored_checksum({**headers, "etag": str(members.get("ETag", ""))})


def storage_class(said: object, subject: str) -> str:
    """Return the storage class, empty for the standard one: listings name it, HEAD does not."""
    name = told.text(said, "StorageClass", subject, most=told.MAX_NAME_CHARACTERS)
    return "" if name == "STANDARD" else name


def instant(value: object) -> datetime | None:
    """Return an instant in UTC, None if there is none; the SDK gives it in the zone that the service told.

    Raises:
        UnexpectedReply: it has no year of four digits.
    """
    if not isinstance(value, datetime):
        return None
    try:
        return in_utc(value)
    except ValueError as error:
        raise refused("time", str(value)) from error


def stored(result: Mapping[str, Any], version_id: object, where: str, subject: str) -> Stored:
    """Return what the reply to a write tells of the stored object.

    Args:
        result: the members of the reply that hold ETag and checksums.
        where: host of the endpoint.

    Raises:
        ServerError: it has no ETag: an empty or a foreign document came for a result.
    """
    etag = told.etag(result.get("ETag"), subject)
    if not etag:
        raise error_of(ErrorInfo("ServerError", untold(where), subject, status=200))
    return Stored(quoted(etag), told.version(version_id, subject), checksum_in(result))


def decoded(name: str, subject: str = "") -> str:
    """Return a name that the service has percent-encoded.

    Raises:
        UnexpectedReply: it is not UTF-8 under its encoding; it would be decoded to another name.
    """
    if "%" not in name and "+" not in name:
        return name
    try:
        return unquote_plus(name, errors="strict")
    except UnicodeDecodeError as error:
        text = "the listing holds a key that is not valid UTF-8"
        raise UnexpectedReply(text, subject, cause=repr(name[:80])) from error


__all__ = ["checksum_in", "decoded", "instant", "storage_class", "stored"]
