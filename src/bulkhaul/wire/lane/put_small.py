"""PUT of a few bytes by the lane, with a checksum that the caller chose, right or wrong: a probe of ``doctor``'s."""

from __future__ import annotations

from bulkhaul.model.writing import Stored
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.reply import stored_by
from bulkhaul.wire.values import Target


async def put_small(
    lane: Lane,
    target: Target,
    bucket: str,
    key: str,
    body: bytes,
    *,
    algorithm: str,
    checksum: str,
    only_if_absent: bool,
) -> Stored:
    """Store a few bytes with a checksum that is sent unchecked, to see what the endpoint does with it.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        PreconditionFailed: the object exists, and ``only_if_absent``.
        TransferError: the service or the connection failed.
    """
    headers = list(lane.about_object)
    if algorithm:
        headers.append((f"x-amz-checksum-{algorithm.lower()}", checksum))
    if only_if_absent:
        headers.append(("if-none-match", "*"))
    subject = f"s3://{bucket}/{key}"
    # If the lost request stored the object, its repetition would fail on the condition and hide that it did.
    reply = await lane.ask(
        target, "PUT", key, (), headers, body, subject=subject, patient=True, again=not only_if_absent
    )
    reply.members()  # an error within a success
    return stored_by(reply.headers, etag=reply.headers.get("etag", ""), where=target.host_header)


__all__ = ["put_small"]
