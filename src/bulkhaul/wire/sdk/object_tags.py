"""Reads and sets the tags of an object."""

from __future__ import annotations

from bulkhaul.wire.replies.success import answered_by_s3, is_signed_by_s3
from bulkhaul.wire.replies.tags import tags_of
from bulkhaul.wire.sdk.calls import call, object_names, reply_headers
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


def set_object_tags(sdk: SdkClient, bucket: str, key: str, version_id: str, tags: dict[str, str]) -> None:
    """Give an object these tags instead of all that it has; none takes them all away.

    Raises:
        NotFound: there is no such object.
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    subject = f"s3://{bucket}/{key}"
    names = object_names(bucket, key, version_id)
    if tags:
        tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
        reply = call(sdk.client.put_object_tagging, subject=subject, Tagging=tagging, **names)
    else:
        reply = call(sdk.client.delete_object_tagging, subject=subject, **names)
    if not is_signed_by_s3(reply_headers(reply)):
        with answered_by_s3(subject):
            object_tags(sdk, bucket, key, version_id)


__all__ = ["object_tags", "set_object_tags"]
