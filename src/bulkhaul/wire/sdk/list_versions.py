"""Lists the versions of objects and their delete markers, page by page."""

from __future__ import annotations

from bulkhaul.model.writing import VersionsPage
from bulkhaul.wire.replies.versions_page import versions_page
from bulkhaul.wire.sdk.calls import call
from bulkhaul.wire.sdk.client import SdkClient


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
    return versions_page(reply, bucket, prefix, (key_marker, version_marker), subject, sdk.hostname)


__all__ = ["list_versions"]
