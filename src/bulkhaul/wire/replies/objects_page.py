"""Reads a page of objects, as ListObjectsV2 or ListObjects gives it.

token of V2: as it came        token of V1: AFTER + key, so that any worker can ask for the next page
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.wire import told
from bulkhaul.wire.documents import Columns
from bulkhaul.wire.replies.fields import instant, storage_class
from bulkhaul.wire.replies.listing_checks import goes_on_nowhere, require_bucket, require_listing
from bulkhaul.wire.replies.restore import listed_restore

AFTER: Final = "bulkhaul:after:"
"""Begins our own token of a page of ListObjects; no service's token begins like this."""


def is_older(reply: Mapping[str, Any], token: str, subject: str) -> bool:
    """Return whether the reply to ListObjectsV2 is a page of ListObjects: the endpoint has ignored list-type.

    Raises:
        UnexpectedReply: it is no listing.
        OtherError: it is of ListObjectsV2, or goes on another one, and goes on nowhere.
    """
    if not require_listing(reply, subject) or reply.get("NextContinuationToken"):
        return False
    if token or "KeyCount" in reply:
        raise goes_on_nowhere(subject)
    return True


def page_by_token(reply: Mapping[str, Any], bucket: str, prefix: str, subject: str) -> ObjectsPage:
    """Return a page of ListObjectsV2; its names are decoded.

    Raises:
        OtherError: an entry without a key.
        UnexpectedReply: it is no page of this listing.
    """
    entries, prefixes = _entries(reply, bucket, prefix, subject)
    following = reply.get("NextContinuationToken") if require_listing(reply, subject) else None
    return ObjectsPage(entries, told.marker(following, "NextContinuationToken", subject), prefixes)


def page_by_key(reply: Mapping[str, Any], bucket: str, prefix: str, after: str, subject: str) -> ObjectsPage:
    """Return a page of ListObjects: what comes after a key; its names are decoded.

    Raises:
        OtherError: an entry without a key, or it goes on nowhere.
        UnexpectedReply: it is no page of this listing.
    """
    truncated = require_listing(reply, subject)
    entries, prefixes = _entries(reply, bucket, prefix, subject)
    if not truncated:
        return ObjectsPage(entries, "", prefixes)
    # Without a delimiter the service may leave the marker out: the listing goes on after the last key.
    last = max((*[one.key for one in entries[-1:]], *prefixes[-1:]), key=str.encode, default="")
    following = told.marker(reply.get("NextMarker"), "NextMarker", subject) or last
    if not following or following == after:
        raise goes_on_nowhere(subject)
    return ObjectsPage(entries, AFTER + following, prefixes)


def _entries(
    reply: Mapping[str, Any], bucket: str, prefix: str, subject: str
) -> tuple[tuple[ObjectHead, ...], tuple[str, ...]]:
    """Return the objects and the common prefixes of a page."""
    require_bucket(reply.get("Name"), bucket, subject)
    entries = _objects(reply.get("Contents", ()), prefix, subject)
    prefixes = tuple([told.key(item.get("Prefix"), prefix, subject) for item in reply.get("CommonPrefixes", ())])
    said = told.number(reply.get("KeyCount", 0), "KeyCount", subject)
    if said > len(entries) + len(prefixes):
        text = f"the page says that it holds {said} keys, and holds {len(entries) + len(prefixes)}"
        raise UnexpectedReply(text, subject)
    return entries, prefixes


def _objects(contents: Columns | Iterable[Mapping[str, Any]], prefix: str, subject: str) -> tuple[ObjectHead, ...]:
    if isinstance(contents, Columns):
        if (found := _by_columns(contents.values, prefix, subject)) is not None:
            return found
        contents = contents.items()
    return tuple([_entry(item, prefix, subject) for item in contents])


def _by_columns(values: Mapping[str, list[Any]], prefix: str, subject: str) -> tuple[ObjectHead, ...] | None:
    """Return the objects of a page; None if it is not the usual one, and each has to be looked at for itself."""
    if not values.keys() >= _USUAL or set(values.get("StorageClass", ())) - {"STANDARD"}:
        return None
    keys, sizes = values["Key"], values["Size"]
    if not all(keys) or not all(sizes) or max(map(len, keys)) > told.MAX_KEY_CHARACTERS:
        return None
    digits = "".join(sizes)
    if not (digits.isascii() and digits.isdecimal()) or max(map(len, sizes)) > _SURE_DIGITS:
        return None
    if not all(key.startswith(prefix) for key in keys):
        return None
    etags = told.etags(values["ETag"], subject)
    return tuple(map(ObjectHead, keys, map(int, sizes), etags, values["LastModified"]))


_USUAL = frozenset({"Key", "Size", "ETag", "LastModified"})
_SURE_DIGITS = 18
"""Numbers of so many digits are below every bound of a size."""


def _entry(item: Mapping[str, Any], prefix: str, subject: str) -> ObjectHead:
    kept_as = item.get("StorageClass", "STANDARD")
    return ObjectHead(
        told.key(item.get("Key"), prefix, subject),
        told.number(item.get("Size"), "Size", subject),
        told.etag(item.get("ETag"), subject),
        instant(item.get("LastModified")),
        storage_class="" if kept_as == "STANDARD" else storage_class(kept_as, subject),
        restore=listed_restore(item.get("RestoreStatus"), subject),
    )


__all__ = ["AFTER", "is_older", "page_by_key", "page_by_token"]
