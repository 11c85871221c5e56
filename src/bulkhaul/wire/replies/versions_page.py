"""Reads a page of versions and delete markers, and puts both in one order, the newest first.

AWS; a version after a delete marker, or none of these   as the document has them
all versions first, then all delete markers              by their times, as far as these tell

S3 writes both kinds in their common order, so that times decide nothing, which are by the second, and of an upload in
parts those of its beginning. Some services write two lists instead: what of a key is of one time there is marked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import msgspec

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.model.writing import ObjectVersion, VersionsPage
from bulkhaul.policy.endpoints import aws_domain
from bulkhaul.wire import told
from bulkhaul.wire.replies.fields import instant
from bulkhaul.wire.replies.listing_checks import next_markers, require_bucket, require_listing


def versions_page(
    reply: Mapping[str, Any], bucket: str, prefix: str, asked: tuple[str, str], subject: str, host: str
) -> VersionsPage:
    """Return a page of versions, in the order of keys, the newest version of a key first; its names are decoded.

    Args:
        asked: the markers of this page, of key and version.
        host: of the endpoint.

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
    found = {
        "Versions": [_version_of(item, prefix, subject, delete_marker=False) for item in reply.get("Versions", ())],
        "DeleteMarkers": [
            _version_of(item, prefix, subject, delete_marker=True) for item in reply.get("DeleteMarkers", ())
        ],
    }
    order = [kind for kind in reply.get("Order", ()) if kind in found]
    ordered = _is_in_order(order) or bool(order and aws_domain(host))
    versions = _as_written(found, order) if ordered else _by_time(found)
    # The sort is stable: among those of one key the order stays, but that the latest comes first.
    versions.sort(key=lambda one: (one.key.encode(), not one.latest))
    return VersionsPage(tuple(versions if ordered else _with_doubts(versions)), *following)


def _is_in_order(order: Sequence[str]) -> bool:
    """Whether a document shows by itself that both kinds are in one order; there may be nothing that tells theirs."""
    return bool(order) and ("DeleteMarkers" not in order or "Versions" in order[order.index("DeleteMarkers") :])


def _as_written(found: Mapping[str, list[ObjectVersion]], order: Sequence[str]) -> list[ObjectVersion]:
    waiting = {kind: iter(some) for kind, some in found.items()}
    return [next(waiting[kind]) for kind in order]


def _by_time(found: Mapping[str, list[ObjectVersion]]) -> list[ObjectVersion]:
    return sorted((one for some in found.values() for one in some), key=_time, reverse=True)


def _time(one: ObjectVersion) -> datetime:
    return one.last_modified or datetime.min.replace(tzinfo=UTC)


def _with_doubts(versions: Sequence[ObjectVersion]) -> list[ObjectVersion]:
    """Mark versions and delete markers that are neighbours and of one time, unless one of them is the latest."""
    marked = list(versions)
    for place, (newer, older) in enumerate(pairwise(versions), 1):
        alike = (newer.key, newer.last_modified) == (older.key, older.last_modified)
        if alike and newer.delete_marker != older.delete_marker and not newer.latest:
            marked[place] = msgspec.structs.replace(older, doubtful=True)
    return marked


def _version_of(item: Mapping[str, Any], prefix: str, subject: str, *, delete_marker: bool) -> ObjectVersion:
    return ObjectVersion(
        key=told.key(item.get("Key"), prefix, subject),
        version_id=told.text(item.get("VersionId"), "VersionId", subject, most=told.MAX_ID_CHARACTERS),
        size=0 if delete_marker else told.number(item.get("Size"), "Size", subject),
        etag=told.etag(item.get("ETag"), subject),
        last_modified=instant(item.get("LastModified")),
        latest=bool(item.get("IsLatest", False)),
        delete_marker=delete_marker,
    )


__all__ = ["versions_page"]
