"""Reads a page of versions and delete markers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.writing import ObjectVersion, VersionsPage
from bulkhaul.wire import told
from bulkhaul.wire.replies.fields import instant
from bulkhaul.wire.replies.listing_checks import next_markers, require_bucket, require_listing


def versions_page(
    reply: Mapping[str, Any], bucket: str, prefix: str, asked: tuple[str, str], subject: str
) -> VersionsPage:
    """Return a page of versions, in the order of keys, the newest version of a key first; its names are decoded.

    Args:
        asked: the markers of this page, of key and version.

    Raises:
        OtherError: an entry without a key.
        UnexpectedReply: it is no page of this listing.
    """
    truncated = require_listing(reply, subject)
    require_bucket(reply.get("Name"), bucket, subject)
    if reply.get("Contents") and not reply.keys() & {"Versions", "DeleteMarkers"}:
        text = "the endpoint answered a listing of versions with one of objects; it keeps no versions, or tells none"
        raise UnexpectedReply(text, subject)
    following = ("", "")
    if truncated:
        following = next_markers(reply, "NextVersionIdMarker", asked, subject)
    versions = [_version_of(item, prefix, subject, delete_marker=False) for item in reply.get("Versions", ())]
    versions += [_version_of(item, prefix, subject, delete_marker=True) for item in reply.get("DeleteMarkers", ())]
    # Versions and delete markers come in two lists, which do not tell their common order.
    versions.sort(key=lambda one: one.last_modified, reverse=True)
    versions.sort(key=lambda one: (one.key.encode(), not one.latest))
    return VersionsPage(tuple(versions), *following)


def _version_of(item: Mapping[str, Any], prefix: str, subject: str, *, delete_marker: bool) -> ObjectVersion:
    return ObjectVersion(
        key=told.key(item.get("Key"), prefix, subject),
        version_id=told.text(item.get("VersionId"), "VersionId", subject, most=told.MAX_ID_CHARACTERS),
        size_bytes=0 if delete_marker else told.number(item.get("Size"), "Size", subject),
        etag=told.etag(item.get("ETag"), subject),
        last_modified=instant(item.get("LastModified")),
        latest=bool(item.get("IsLatest", False)),
        delete_marker=delete_marker,
    )


__all__ = ["versions_page"]
