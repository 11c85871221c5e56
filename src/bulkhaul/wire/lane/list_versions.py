"""Lists the versions of objects and their delete markers by the lane, page by page."""

from __future__ import annotations

from bulkhaul.model.writing import VersionsPage
from bulkhaul.wire.documents import Shape, boolean, instant, texts
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.lane.list_objects import named
from bulkhaul.wire.replies.versions_page import versions_page
from bulkhaul.wire.values import Target

_MARKER = Shape({**texts(("Key", "VersionId")), "LastModified": instant, "IsLatest": boolean})
_VERSION = Shape({**_MARKER.single, **texts(("Size", "ETag"))})
_FOLDER = Shape(texts(("Prefix",)))
_PAGE = Shape(
    {**texts(("Name", "NextKeyMarker", "NextVersionIdMarker", "EncodingType")), "IsTruncated": boolean},
    {
        "Version": ("Versions", _VERSION),
        "DeleteMarker": ("DeleteMarkers", _MARKER),
        "CommonPrefixes": ("CommonPrefixes", _FOLDER),
        "Contents": ("Contents", Shape({})),  # of a listing of objects, which this is none of
    },
    order="Order",
)
"""Source: S3 API Reference, ListObjectVersions."""


async def list_versions(
    lane: Lane, target: Target, bucket: str, prefix: str, key_marker: str, version_marker: str
) -> VersionsPage:
    """Return one page of the versions of keys that begin with ``prefix``; empty markers ask for the first.

    They are in the order of keys, the newest version of a key first. An object from before versioning has the version
    ``null``.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{prefix}"
    query = [("versions", ""), ("prefix", prefix), ("encoding-type", "url")]
    if key_marker:
        query.append(("key-marker", key_marker))
    if version_marker:
        query.append(("version-id-marker", version_marker))
    reply = await lane.ask(target, "GET", "", query, lane.payer, subject=subject)
    return versions_page(
        named(reply.members(_PAGE), subject), bucket, prefix, (key_marker, version_marker), subject, target.host
    )


__all__ = ["list_versions"]
