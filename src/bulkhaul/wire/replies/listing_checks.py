"""Checks of every listing: that the reply is one, of this bucket, and that it tells where it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bulkhaul.model.errors import OtherError, UnexpectedReply
from bulkhaul.wire import told
from bulkhaul.wire.reply import not_of_s3

_ALIASES = ("-s3alias", "--op-s3", "--xa-s3", "--x-s3", ".mrap")
"""How aliases of access points end (of buckets, Outposts, directory buckets, several Regions). Source: S3 User
Guide, "Access point aliases" and "Naming rules"; AWS Outposts User Guide, "Using a bucket-style alias"."""


def require_listing(reply: Mapping[str, Any], subject: str) -> bool:
    """Return whether a listing goes on after this reply.

    Raises:
        UnexpectedReply: the reply is no listing; it would be read as an empty one.
    """
    if "IsTruncated" not in reply:
        raise UnexpectedReply(not_of_s3("what came is no listing"), subject)
    return bool(reply["IsTruncated"])


def next_markers(
    reply: Mapping[str, Any],
    id_name: str,
    asked: tuple[str, str],
    subject: str,
    decode: Callable[[str], str] = str,
) -> tuple[str, str]:
    """Return the key and the id at which a truncated listing goes on.

    Args:
        id_name: the member that holds the id.
        asked: the markers of this page.
        decode: how the key is to be read.

    Raises:
        OtherError: there is no key, or the listing would begin here once more.
        UnexpectedReply: one of them is longer than any is.
    """
    key, number = decode(str(reply.get("NextKeyMarker", ""))), str(reply.get(id_name, ""))
    if len(key) > told.MAX_TOKEN_CHARACTERS or len(number) > told.MAX_TOKEN_CHARACTERS:
        raise UnexpectedReply("the listing goes on at a marker that is longer than any key or id", subject)
    if not key or (key, number) == asked:
        raise goes_on_nowhere(subject)
    return key, number


def next_part(reply: Mapping[str, Any], marker: int, subject: str) -> int:
    """Return the part number after which a truncated listing of parts goes on; this page went on after ``marker``.

    Raises:
        OtherError: there is none, or none that is larger.
        UnexpectedReply: it is no number of a part.
    """
    name = "NextPartNumberMarker"
    following = told.number(reply[name], name, subject, most=told.MAX_PART_NUMBER) if reply.get(name) else 0
    if following <= marker:
        raise goes_on_nowhere(subject)
    return following


def require_bucket(named: object, bucket: str, subject: str) -> None:
    """Raise UnexpectedReply if a listing names another bucket. That of an alias names the bucket behind it."""
    alias = bucket.startswith("arn:") or bucket.endswith(_ALIASES)
    if named and named != bucket and not alias:
        cause = f"it names {str(named)[:80]!r}"
        raise UnexpectedReply("the endpoint answered with the listing of another bucket", subject, cause)


def goes_on_nowhere(subject: str) -> OtherError:
    """Return the error for a listing that is truncated but tells no marker, or the same one."""
    return OtherError("the listing says that it goes on, but not where; nobody knows what is missing", subject)


__all__ = ["goes_on_nowhere", "next_markers", "next_part", "require_bucket", "require_listing"]
