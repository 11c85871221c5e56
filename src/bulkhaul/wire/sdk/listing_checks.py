"""What every listing must show: that it is one, of this bucket, of these keys, and where it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.errors import OtherError, UnexpectedReply
from bulkhaul.wire import told

_ALIASES = ("-s3alias", "--op-s3", "--xa-s3", "--x-s3", ".mrap")
"""How aliases of access points end: of buckets, of Outposts, of directory buckets, of several Regions. Source: S3 User
Guide, "Access point aliases" and "Naming rules"; AWS Outposts User Guide, "Using a bucket-style alias"."""


def require_listing(reply: Mapping[str, Any], subject: str) -> bool:
    """Return whether a listing goes on after this reply.

    Raises:
        UnexpectedReply: the reply is no listing; it would pass for an empty one.
    """
    if "IsTruncated" not in reply:
        raise UnexpectedReply("the reply to a listing is no listing", subject)
    return bool(reply["IsTruncated"])


def require_markers(key: str, number: str, subject: str) -> None:
    """Raise UnexpectedReply for markers of the next page (a key, and an id) that are longer than any is."""
    if len(key) > told.MAX_TOKEN_CHARACTERS or len(number) > told.MAX_TOKEN_CHARACTERS:
        raise UnexpectedReply("the listing goes on at a marker that is longer than any key or id", subject)


def require_bucket(named: object, bucket: str, subject: str) -> None:
    """Raise UnexpectedReply for a listing that names another bucket; an alias is answered with what it stands for."""
    alias = bucket.startswith("arn:") or bucket.endswith(_ALIASES)
    if named and named != bucket and not alias:
        cause = f"it names {str(named)[:80]!r}"
        raise UnexpectedReply("the endpoint answered with the listing of another bucket", subject, cause)


def goes_on_nowhere(subject: str) -> OtherError:
    """Return the error for a listing that is truncated and has no marker."""
    return OtherError("the listing says that it goes on, but not where; nobody knows what is missing", subject)


def require_key(item: Mapping[str, Any], prefix: str, subject: str, member: str = "Key") -> str:
    """Return the key of an entry of a listing of ``prefix``.

    Raises:
        OtherError: it has none.
        UnexpectedReply: it is no key, or none that was asked for.
    """
    return told.key(item.get(member), prefix, subject)


__all__ = ["goes_on_nowhere", "require_bucket", "require_key", "require_listing", "require_markers"]
