"""Lists the versions of objects and their delete markers, page by page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bulkhaul.model.writing import ObjectVersion, VersionsPage
from bulkhaul.wire import told
from bulkhaul.wire.sdk.calls import call, instant
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.listing_checks import next_markers, require_bucket, require_listing


def list_versions(sdk: SdkClient, bucket: str, prefix: str, key_marker: str, version_marker: str) -> VersionsPage:
    """Return one page of the versions of keys that begin with ``prefix``; empty markers ask for the first.

    They are in the order of keys, the newest version of a key first. An object from before versioning has the version
    ``null``.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{prefix}"
    more = {"KeyMarker": key_marker} if key_marker else {}
    if version_marker:
        more["VersionIdMarker"] = version_marker
    reply = call(sdk.client.list_object_versions, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    truncated = require_listing(reply, subject)
    require_bucket(reply.get("Name"), bucket, subject)
    following = ("", "")
    if truncated:
        following = next_markers(reply, "NextVersionIdMarker", (key_marker, version_marker), subject)
    versions = [_version_of(item, prefix, subject, delete_marker=False) for item in reply.get("Versions", ())]
    versions += [_version_of(item, prefix, subject, delete_marker=True) for item in reply.get("DeleteMarkers", ())]
    # The SDK returns versions and delete markers in two lists, and so loses their common order.
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


__all__ = ["list_versions"]
