"""Reads the tags of an object."""

from __future__ import annotations

from bulkhaul.model.errors import UnexpectedReply
from bulkhaul.wire import told
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
    found = reply.get("TagSet")
    if found is None or any(tag.get("Key") is None or tag.get("Value") is None for tag in found):
        raise UnexpectedReply("the reply to a question for tags tells none", subject)
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in found}
    if len(tags) < len(found) or len(tags) > told.MAX_TAGS:
        raise UnexpectedReply("the reply tells a tag twice, or more than any object has", subject)
    told.bounded((), tags, subject)
    return tags


__all__ = ["object_tags"]
