"""Reads and sets the tags of an object by the lane."""

from __future__ import annotations

from bulkhaul.wire.documents import Shape, texts
from bulkhaul.wire.lane.body_checksum import protection
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.lane.request_xml import XMLNS, element
from bulkhaul.wire.replies.success import answered_by_s3, is_signed_by_s3
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


async def set_object_tags(
    lane: Lane, target: Target, bucket: str, key: str, version_id: str, tags: dict[str, str]
) -> None:
    """Give an object these tags instead of all that it has; none takes them all away.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        NotFound: there is no such object.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    query = [("tagging", ""), *version_query(version_id)]
    if tags:
        given = [element("Tag", element("Key", name), element("Value", value)) for name, value in tags.items()]
        body = element("Tagging", element("TagSet", *given), attributes=XMLNS).encode()
        headers = [*lane.payer, *protection(target, body)]
        reply = await lane.ask(target, "PUT", key, query, headers, body, subject=subject, again=True)
    else:
        # The payer is not told: DeleteObjectTagging has no such parameter.
        reply = await lane.ask(target, "DELETE", key, query, subject=subject, again=True)
    reply.members()  # an error within a success
    if not is_signed_by_s3(reply.headers):
        with answered_by_s3(subject):
            await object_tags(lane, target, bucket, key, version_id)


__all__ = ["object_tags", "set_object_tags"]
