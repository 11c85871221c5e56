"""HEAD of an object, by the lane."""

from __future__ import annotations

from contextlib import suppress

from bulkhaul.model.errors import RangeNotSatisfiable, TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.lane.client import Lane, Reply, version_query
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.replies.object_head import object_head
from bulkhaul.wire.reply import transcoded
from bulkhaul.wire.values import Target


async def ask_head(lane: Lane, target: Target, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
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
    """Send HEAD, and again where a refusal has no body to say why, or may be about the checksum that it asks for."""
    query, headers = version_query(version_id), lane.about_object
    mode = ((CHECKSUM_MODE, "ENABLED"),) if lane.learned.takes(target.host, CHECKSUM_MODE) else ()

    async def ask() -> Reply:
        return await lane.ask(target, "HEAD", key, query, (*headers, *mode), subject=subject)

    try:
        return await ask()
    except TransferError as error:
        failure = error
    if failure.info.status == 400:
        # A GET of one byte is refused with a reason, such as the bucket's region.
        with suppress(RangeNotSatisfiable):  # the object exists, and is empty
            await lane.ask(target, "GET", key, query, (*headers, ("range", "bytes=0-0")), subject=subject)
        try:
            return await ask()
        except TransferError as error:
            failure = error
    if not (mode and lane.may_do_without(target, failure)):
        raise failure
    reply = await lane.ask(target, "HEAD", key, query, headers, subject=subject)
    lane.learned.does_without(target.host, CHECKSUM_MODE)
    return reply


__all__ = ["ask_head"]
