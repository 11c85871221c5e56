"""Deletes keys and versions by the lane: one by one, or up to 1,000 in a request where the endpoint can."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.policy.endpoints import aws_domain
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.documents import Shape, texts
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.lane.request_xml import XMLNS, element
from bulkhaul.wire.learned import BATCHES
from bulkhaul.wire.replies.batch_result import NO_BATCHES, NOT_IN_XML, PATIENCE, batch_result, require_result
from bulkhaul.wire.replies.fields import quoted
from bulkhaul.wire.values import Target

_RESULT = Shape(
    {},
    {
        "Deleted": ("Deleted", Shape(texts(("Key", "VersionId", "DeleteMarkerVersionId")))),
        "Error": ("Errors", Shape(texts(("Key", "VersionId", "Code", "Message")))),
    },
)
"""Source: S3 API Reference, DeleteObjects."""


async def delete_object(
    lane: Lane, target: Target, bucket: str, key: str, version_id: str, etag: str = "", *, known: bool = False
) -> None:
    """Delete a key, or one version of it; success also if there is none (any more), unless it is ``known`` to exist.

    Args:
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        PreconditionFailed: the object has another ETag.
        TransferError: the service or the connection failed.
    """
    headers = [*lane.payer, *([("if-match", quoted(etag))] if etag else [])]
    try:
        reply = await lane.ask(
            target, "DELETE", key, version_query(version_id), headers, subject=f"s3://{bucket}/{key}", patient=True
        )
        reply.members()  # an error within a success
    except NotFound as error:
        if known or error.info.service_code == "NoSuchBucket":
            raise


async def delete_objects(lane: Lane, target: Target, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete up to 1,000 keys; return those that are not deleted for sure, with the service's reasons.

    One request deletes them all. Keys that XML cannot carry are deleted one by one, and so are all keys where the
    endpoint has no DeleteObjects.

    Raises:
        SdkNeeded: the bucket lives elsewhere; nothing was deleted.
        TransferError: the service or the connection failed; some keys may have been deleted before.
    """
    assert len(doomed) <= MAX_DELETE_BATCH
    together = [one for one in doomed if not NOT_IN_XML.search(one.key)]
    singly = [one for one in doomed if NOT_IN_XML.search(one.key)]
    failed: list[NotDeleted] = []
    if together and not lane.learned.takes(target.host, BATCHES):
        singly = [*together, *singly]
    elif together:
        try:
            failed += await _delete_batch(lane, target, bucket, together)
        except TransferError as error:
            failed += await _instead_of_batch(lane, target, bucket, together, error)
    for one in singly:
        if (wrong := await _delete_singly(lane, target, bucket, one)) is not None:
            failed.append(wrong)
    return tuple(failed)


async def _delete_batch(lane: Lane, target: Target, bucket: str, doomed: Sequence[Doomed]) -> list[NotDeleted]:
    objects = [
        element("Object", element("Key", one.key), *([element("VersionId", one.version_id)] if one.version_id else []))
        for one in doomed
    ]
    # A quiet reply does not tell what was deleted.
    body = element("Delete", *objects, element("Quiet", "false"), attributes=XMLNS).encode()
    headers = [*lane.payer, *_protection(target, body)]
    subject = f"s3://{bucket}"
    reply = await lane.ask(target, "POST", "", [("delete", "")], headers, body, subject=subject, patient=True)
    result = reply.members(_RESULT)
    require_result(reply.body, subject)
    lane.learned.worked(target.host, BATCHES)
    return batch_result(result, doomed)


def _protection(target: Target, body: bytes) -> list[tuple[str, str]]:
    """Return the checksum that must go along: an MD5, as the S3 API once required, and older stores still do."""
    if aws_domain(target.host) is None:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        return [("content-md5", base64.b64encode(digest).decode())]
    return [("x-amz-checksum-crc32", encoded_crc("CRC32", updater("CRC32")(body, 0)))]


async def _instead_of_batch(
    lane: Lane, target: Target, bucket: str, doomed: Sequence[Doomed], refused: TransferError
) -> list[NotDeleted]:
    """Delete one by one if ``refused`` may mean that the endpoint has no DeleteObjects; else raise it.

    If a single key is refused with the same error, the refusal was not about the batch.
    """
    host = target.host
    passing = refused.info.status == 500
    alone = refused.info.status in NO_BATCHES and refused.info.service_code != "NoSuchBucket"
    if not alone or (passing and lane.learned.failed(host, BATCHES) < PATIENCE):
        raise refused
    first, *others = doomed
    wrong = await _delete_singly(lane, target, bucket, first, known=isinstance(refused, NotFound))
    if wrong is not None and wrong.service_code in (refused.info.service_code, refused.info.code, "NotFound"):
        raise refused
    if not passing:
        lane.learned.does_without(host, BATCHES)
    outcomes = [wrong]
    for one in others:
        outcomes.append(await _delete_singly(lane, target, bucket, one))  # noqa: PERF401 - in this order
    return [one for one in outcomes if one is not None]


async def _delete_singly(
    lane: Lane, target: Target, bucket: str, one: Doomed, *, known: bool = False
) -> NotDeleted | None:
    """Delete a key; return why it could not be deleted, None for success.

    Args:
        known: a 404 is no success: the endpoint may answer everything so.
    """
    try:
        await delete_object(lane, target, bucket, one.key, one.version_id, known=known)
    except TransferError as error:
        if error.retryable or error.info.service_code == "NoSuchBucket":
            raise
        return NotDeleted(one.key, one.version_id, error.info.service_code or error.info.code, error.message)
    return None


__all__ = ["delete_object", "delete_objects"]
