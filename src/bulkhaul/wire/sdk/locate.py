"""Finds out where requests for a bucket go; it must not know what will be asked there."""

from __future__ import annotations

from bulkhaul.model.errors import TransferError
from bulkhaul.wire.sdk.calls import call
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.values import Target

_TELLING = frozenset({"AccessDenied", "NotFound", "OtherError", "Unsupported"})
"""Refusals of a HEAD of the bucket that come from where the bucket is, or would be: who asks for more will see."""


def locate(sdk: SdkClient, bucket: str) -> Target:
    """Return where requests for a bucket go; whether it exists, and is readable, is not asked.

    Raises:
        TransferError: the endpoint cannot be reached, or sends requests elsewhere.
    """
    try:
        call(sdk.client.head_bucket, subject=f"s3://{bucket}", Bucket=bucket)
    except TransferError as error:
        if error.info.code not in _TELLING or not error.info.status:
            raise
    return sdk.target(bucket)
