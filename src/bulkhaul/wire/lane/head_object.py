"""HEAD of an object, by the lane."""

from __future__ import annotations

from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.lane.client import Lane, Reply, version_query
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.replies.object_head import object_head
from bulkhaul.wire.reply import transcoded
from bulkhaul.wire.values import Target


async def ask_head(lane: Lane, target: Target, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        SdkNeeded: it was refused without a reason, or lives elsewhere.
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    packed = lane.learned.unpacks(target.host)
    reply = await _asked(lane, target, key, version_id, subject)
    if transcoded(reply.headers) is not None and not packed:
        lane.learned.has_unpacked(target.host)
        reply = await _asked(lane, target, key, version_id, subject)
    return object_head(key, reply.headers, subject)


async def _asked(lane: Lane, target: Target, key: str, version_id: str, subject: str) -> Reply:
    """Send HEAD, and again where a refusal may be about the checksum that it asks for."""
    query, headers = version_query(version_id), lane.about_object
    mode = ((CHECKSUM_MODE, "ENABLED"),) if lane.learned.takes(target.host, CHECKSUM_MODE) else ()
    try:
        return await lane.ask(target, "HEAD", key, query, (*headers, *mode), subject=subject)
    except TransferError as error:
        if not (mode and lane.may_do_without(target, error)):
            raise
    reply = await lane.ask(target, "HEAD", key, query, headers, subject=subject)
    lane.learned.does_without(target.host, CHECKSUM_MODE)
    return reply


__all__ = ["ask_head"]
