"""Requests about buckets by the lane: makes, removes and lists them, tells the region of one, and where requests go."""

from __future__ import annotations

from collections.abc import Mapping

from bulkhaul.model.errors import TransferError
from bulkhaul.model.writing import BucketsPage
from bulkhaul.wire import told
from bulkhaul.wire.documents import Shape, instant, texts
from bulkhaul.wire.inspection import FirstByte, Step, bucket_inspection
from bulkhaul.wire.lane.client import Lane, SdkNeeded
from bulkhaul.wire.lane.list_objects import ask_page
from bulkhaul.wire.lane.request_xml import XMLNS, element
from bulkhaul.wire.location import location_constraint
from bulkhaul.wire.replies.buckets_page import TELLING, buckets_page
from bulkhaul.wire.replies.success import answered_by_s3, is_signed_by_s3
from bulkhaul.wire.steps import carried_out_async
from bulkhaul.wire.values import Target

_PAGE = Shape(texts(("ContinuationToken",)), lists={"Buckets": Shape({**texts(("Name",)), "CreationDate": instant})})
"""Source: S3 API Reference, ListBuckets."""


async def list_buckets(lane: Lane, target: Target, token: str) -> BucketsPage:
    """Return one page of the caller's buckets; an empty token asks for the first.

    Args:
        target: of the service.

    Raises:
        SdkNeeded: the service sends the request elsewhere.
        UnexpectedReply: the reply is no list of buckets.
        TransferError: the service or the connection failed.
    """
    query = [("continuation-token", token)] if token else []
    reply = await lane.ask(target, "GET", query=query, subject="s3://")
    return buckets_page(reply.members(_PAGE))


async def bucket_region(lane: Lane, target: Target, bucket: str) -> str:
    """Return the region that a bucket lives in, empty where the endpoint does not tell.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}"

    async def make(step: Step) -> Mapping[str, str]:
        if isinstance(step, FirstByte):
            return (
                await lane.ask(target, "GET", query=[("list-type", "2"), ("max-keys", "1")], subject=subject)
            ).headers
        return (await lane.ask(target, "HEAD", subject=subject)).headers

    headers = await carried_out_async(bucket_inspection(lane.learned, target.host, subject), make)
    return told.text(headers.get("x-amz-bucket-region"), "region", subject, most=told.MAX_NAME_CHARACTERS)


async def create_bucket(lane: Lane, target: Target, bucket: str, region: str) -> None:
    """Make a bucket in a region; an empty one is that of the endpoint.

    Raises:
        SdkNeeded: the service sends the request elsewhere.
        Conflict: there is such a bucket, the caller's or somebody else's.
        TransferError: the service or the connection failed.
    """
    where = location_constraint(region or target.region)
    location = element("LocationConstraint", where)
    body = element("CreateBucketConfiguration", location, attributes=XMLNS).encode() if where else b""
    reply = await lane.ask(target, "PUT", body=body, subject=f"s3://{bucket}")
    reply.members()  # an error within a success
    if not is_signed_by_s3(reply.headers):
        with answered_by_s3(f"s3://{bucket}"):
            try:
                await ask_page(lane, target, bucket, "", "", max_keys=1)
            except SdkNeeded:
                return  # who sends a listing elsewhere speaks S3; the bucket must not be made twice


async def delete_bucket(lane: Lane, target: Target, bucket: str) -> None:
    """Remove a bucket in which nothing is.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        Conflict: something is in it.
        TransferError: the service or the connection failed.
    """
    reply = await lane.ask(target, "DELETE", subject=f"s3://{bucket}")
    reply.members()  # an error within a success


async def locate(lane: Lane, target: Target, bucket: str) -> Target:
    """Return where requests for a bucket go; it need not exist, nor be readable.

    A small request learns of another region what the bodies of many would be refused for: other services than AWS, too,
    take only what is signed for theirs.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the endpoint cannot be reached.
    """
    try:
        await lane.ask(target, "HEAD", subject=f"s3://{bucket}")
    except TransferError as error:
        if error.info.code not in TELLING or not error.info.status:
            raise
    return target


__all__ = ["bucket_region", "create_bucket", "delete_bucket", "list_buckets", "locate"]
