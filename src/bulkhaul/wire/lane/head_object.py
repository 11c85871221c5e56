"""HEAD of an object, by the lane."""

from __future__ import annotations

from collections.abc import Mapping

from bulkhaul.model.objects import ObjectHead
from bulkhaul.wire.inspection import FirstByte, Step, inspection
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.steps import carried_out_async
from bulkhaul.wire.values import Target


async def ask_head(lane: Lane, target: Target, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    query = version_query(version_id)

    async def make(step: Step) -> Mapping[str, str]:
        if isinstance(step, FirstByte):
            method, more = "GET", [("range", "bytes=0-0")]
        else:
            method, more = "HEAD", [(CHECKSUM_MODE, "ENABLED")] if step.checksum else []
        reply = await lane.ask(target, method, key, query, [*lane.about_object, *more], subject=subject)
        return reply.headers

    return await carried_out_async(inspection(key, lane.learned, target.host, subject, version=bool(version_id)), make)


__all__ = ["ask_head"]
