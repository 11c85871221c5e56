"""Has an archived object brought back."""

from __future__ import annotations

from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.model.errors import TransferError
from bulkhaul.wire.replies.restore import restore_answer, restore_refused, restore_request
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def restore_object(sdk: SdkClient, bucket: str, key: str, version_id: str, *, days: int, tier: Tier) -> RestoreAnswer:
    """Ask for an archived object; that it comes already, or is there, is an answer.

    Args:
        days: how long the copy stays; 0 for an object of INTELLIGENT_TIERING, which comes back for good.

    Raises:
        Unsupported: the object is in no archive.
        RetrievalUnavailable: there is no capacity for this tier now.
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    subject = f"s3://{bucket}/{key}"
    names = object_names(bucket, key, version_id)
    try:
        reply = call(sdk.patient.restore_object, subject=subject, RestoreRequest=restore_request(days, tier), **names)
    except TransferError as error:
        return restore_refused(error, subject)
    return restore_answer(int(reply["ResponseMetadata"]["HTTPStatusCode"]), subject)


__all__ = ["restore_object"]
