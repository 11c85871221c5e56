"""Requests about buckets by the lane: the region of one, and whether requests for it go where they are sent."""

from __future__ import annotations

from bulkhaul.model.errors import TransferError
from bulkhaul.policy.endpoints import aws_domain
from bulkhaul.wire import told
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.values import Target

TELLING = frozenset({"AccessDenied", "NotFound", "OtherError", "Unsupported"})
"""Refusals of a HEAD of the bucket that still show where its requests go; the next request will report the refusal."""


async def bucket_region(lane: Lane, target: Target, bucket: str) -> str:
    """Return the region that a bucket lives in, empty where the endpoint does not tell.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}"
    reply = await lane.ask(target, "HEAD", subject=subject)
    return told.text(reply.headers.get("x-amz-bucket-region"), "region", subject, most=told.MAX_NAME_CHARACTERS)


async def locate(lane: Lane, target: Target, bucket: str) -> Target:
    """Return where requests for a bucket go; it need not exist, nor be readable.

    Only AWS sends requests on to another region; elsewhere nothing is asked.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the endpoint cannot be reached.
    """
    if aws_domain(target.host) is None:
        return target
    try:
        await lane.ask(target, "HEAD", subject=f"s3://{bucket}")
    except TransferError as error:
        if error.info.code not in TELLING or not error.info.status:
            raise
    return target


__all__ = ["bucket_region", "locate"]
