"""Reads the tags of an object."""

from __future__ import annotations

from bulkhaul.wire.replies.tags import tags_of
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def object_tags(sdk: SdkClient, bucket: str, key: str, version_id: str) -> dict[str, str]:
    """Return the tags of an object.

    Raises:
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    subject = f"s3://{bucket}/{key}"
    reply = call(sdk.client.get_object_tagging, subject=subject, **object_names(bucket, key, version_id))
    return tags_of(reply, subject)


__all__ = ["object_tags"]
