"""Reads the tags of an object by the lane."""

from __future__ import annotations

from bulkhaul.wire.documents import Shape, texts
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.replies.tags import tags_of
from bulkhaul.wire.values import Target

_TAGGING = Shape({}, lists={"TagSet": Shape(texts(("Key", "Value")))})
"""Source: S3 API Reference, GetObjectTagging."""


async def object_tags(lane: Lane, target: Target, bucket: str, key: str, version_id: str) -> dict[str, str]:
    """Return the tags of an object.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    query = [("tagging", ""), *version_query(version_id)]
    reply = await lane.ask(target, "GET", key, query, lane.payer, subject=subject)
    return tags_of(reply.members(_TAGGING), subject)


__all__ = ["object_tags"]
