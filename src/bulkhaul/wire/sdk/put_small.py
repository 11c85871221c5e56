"""PUT of a few bytes with a checksum that the caller chose, right or wrong: a probe of ``doctor``'s."""

from __future__ import annotations

from bulkhaul.model.writing import Stored
from bulkhaul.wire.reply import stored_by
from bulkhaul.wire.sdk.calls import call, reply_headers
from bulkhaul.wire.sdk.client import SdkClient


def put_small(
    sdk: SdkClient, bucket: str, key: str, body: bytes, *, algorithm: str, checksum: str, only_if_absent: bool
) -> Stored:
    """Store a few bytes with a checksum that is sent unchecked, to see what the endpoint does with it.

    Raises:
        PreconditionFailed: the object exists, and ``only_if_absent``.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    more: dict[str, object] = {f"Checksum{algorithm}": checksum} if algorithm else {}
    if only_if_absent:
        more["IfNoneMatch"] = "*"
    reply = call(sdk.patient.put_object, subject=subject, Bucket=bucket, Key=key, Body=body, **more)
    return stored_by(reply_headers(reply), etag=str(reply.get("ETag", "")), where=sdk.host)


__all__ = ["put_small"]
