"""Requests about buckets: makes, removes and lists them, tells the region of one, and where requests go."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from bulkhaul.model.errors import TransferError, UnexpectedReply
from bulkhaul.model.writing import BucketsPage, Versioning
from bulkhaul.wire import told
from bulkhaul.wire.inspection import FirstByte, Step, bucket_inspection
from bulkhaul.wire.location import location_constraint
from bulkhaul.wire.replies.buckets_page import TELLING, buckets_page
from bulkhaul.wire.replies.success import answered_by_s3, is_signed_by_s3
from bulkhaul.wire.sdk.calls import call, reply_headers
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.list_objects import list_page
from bulkhaul.wire.steps import carried_out
from bulkhaul.wire.values import Target


def list_buckets(sdk: SdkClient, token: str) -> BucketsPage:
    """Return one page of the caller's buckets; an empty token asks for the first.

    Raises:
        UnexpectedReply: the reply is no list of buckets.
        TransferError: the service or the connection failed.
    """
    reply = call(sdk.client.list_buckets, subject="s3://", **({"ContinuationToken": token} if token else {}))
    return buckets_page(reply)


def bucket_region(sdk: SdkClient, bucket: str) -> str:
    """Return the region that a bucket lives in, empty where the endpoint does not tell.

    Raises:
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}"

    def make(step: Step) -> Mapping[str, str]:
        if isinstance(step, FirstByte):
            return reply_headers(call(sdk.client.list_objects_v2, subject=subject, Bucket=bucket, MaxKeys=1))
        return reply_headers(call(sdk.client.head_bucket, subject=subject, Bucket=bucket))

    headers = carried_out(bucket_inspection(sdk.learned, sdk.hostname, subject), make)
    return told.text(headers.get("x-amz-bucket-region"), "region", subject, most=told.MAX_NAME_CHARACTERS)


def bucket_versioning(sdk: SdkClient, bucket: str) -> Versioning:
    """Return whether a bucket keeps versions.

    Raises:
        UnexpectedReply: the reply tells a state that is none.
        TransferError: the service or the connection failed.
    """
    reply = call(sdk.client.get_bucket_versioning, subject=f"s3://{bucket}", Bucket=bucket)
    match reply.get("Status"):
        case None | "":
            return ""
        case "Enabled" | "Suspended" as status:
            return status  # type: ignore[no-any-return]
        case other:
            raise UnexpectedReply(
                "the reply tells a state of versions that is none", f"s3://{bucket}", f"{other!s:.80}"
            )


def create_bucket(sdk: SdkClient, bucket: str, region: str) -> None:
    """Make a bucket in a region; an empty one is that of the client.

    Raises:
        Conflict: there is such a bucket, the caller's or somebody else's.
        TransferError: the service or the connection failed.
    """
    where = location_constraint(region or sdk.client.meta.region_name)
    more = {"CreateBucketConfiguration": {"LocationConstraint": where}} if where else {}
    reply = call(sdk.client.create_bucket, subject=f"s3://{bucket}", Bucket=bucket, **more)
    if not is_signed_by_s3(reply_headers(reply)):
        with answered_by_s3(f"s3://{bucket}"):
            list_page(sdk, bucket, "", "", 1)


def delete_bucket(sdk: SdkClient, bucket: str) -> None:
    """Remove a bucket in which nothing is.

    Raises:
        Conflict: something is in it.
        TransferError: the service or the connection failed.
    """
    call(sdk.client.delete_bucket, subject=f"s3://{bucket}", Bucket=bucket)


def locate(sdk: SdkClient, bucket: str) -> Target:
    """Return where requests for a bucket go; it need not exist, nor be readable.

    Raises:
        TransferError: the endpoint cannot be reached, or sends requests elsewhere.
    """
    try:
        call(sdk.client.head_bucket, subject=f"s3://{bucket}", Bucket=bucket)
    except TransferError as error:
        if error.info.code not in TELLING or not error.info.status:
            raise
        if error.info.status == 400:
            # A listing is refused with a reason, such as the bucket's region, and the SDK goes there.
            with suppress(TransferError):
                call(sdk.client.list_objects_v2, subject=f"s3://{bucket}", Bucket=bucket, MaxKeys=1)
    return sdk.target(bucket)


__all__ = ["bucket_region", "bucket_versioning", "create_bucket", "delete_bucket", "list_buckets", "locate"]
