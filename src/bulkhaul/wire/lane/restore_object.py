"""Has an archived object brought back, by the lane."""

from __future__ import annotations

from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.model.errors import TransferError
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.lane.request_xml import XMLNS, element
from bulkhaul.wire.replies.restore import restore_answer, restore_refused, restore_request
from bulkhaul.wire.values import Target


async def restore_object(
    lane: Lane, target: Target, bucket: str, key: str, version_id: str, *, days: int, tier: Tier
) -> RestoreAnswer:
    """Ask for an archived object; that it comes already, or is there, is an answer.

    Args:
        days: how long the copy stays; 0 for an object of INTELLIGENT_TIERING, which comes back for good.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        Unsupported: the object is in no archive.
        RetrievalUnavailable: there is no capacity for this tier now.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    asked = restore_request(days, tier)
    stay = [element("Days", str(days))] if "Days" in asked else []
    parameters = element("GlacierJobParameters", element("Tier", asked["GlacierJobParameters"]["Tier"]))
    body = element("RestoreRequest", *stay, parameters, attributes=XMLNS).encode()
    query = [("restore", ""), *version_query(version_id)]
    try:
        reply = await lane.ask(target, "POST", key, query, lane.payer, body, subject=subject, patient=True, again=True)
        reply.members()  # an error within a success
    except TransferError as error:
        return restore_refused(error, subject)
    return restore_answer(reply.status, subject)


__all__ = ["restore_object"]
