"""Deletes keys and versions by the lane: one by one, or up to 1,000 in a request where the endpoint can."""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.model.errors import NotFound
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.policy.sameness import quoted
from bulkhaul.wire import told
from bulkhaul.wire.deletion import Step, Together, deletion
from bulkhaul.wire.documents import Shape, texts
from bulkhaul.wire.lane.body_checksum import protection
from bulkhaul.wire.lane.client import Lane, version_query
from bulkhaul.wire.lane.request_xml import XMLNS, Written, element
from bulkhaul.wire.replies.batch_result import batch_result, require_result
from bulkhaul.wire.steps import carried_out_async
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
) -> str:
    """Delete a key, or one version of it; success also if there is none (any more), unless it is ``known`` to exist.

    Args:
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.

    Returns:
        The version of the delete marker that this has made; empty where none was made or told.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        PreconditionFailed: the object has another ETag.
        TransferError: the service or the connection failed.
    """
    headers = [*lane.payer, *([("if-match", quoted(etag))] if etag else [])]
    try:
        reply = await lane.ask(
            target, "DELETE", key, version_query(version_id), headers, subject=f"s3://{bucket}/{key}"
        )
        reply.members()  # an error within a success
    except NotFound as error:
        if known or error.info.service_code == "NoSuchBucket":
            raise
        return ""
    made = not version_id and reply.headers.get("x-amz-delete-marker", "").lower() == "true"
    return told.version(reply.headers.get("x-amz-version-id"), f"s3://{bucket}/{key}") if made else ""


async def delete_objects(lane: Lane, target: Target, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete up to 1,000 keys; return those that are not deleted for sure, with the service's reasons.

    One request deletes them all. Keys that XML cannot carry are deleted one by one, and so are all keys where the
    endpoint has no DeleteObjects.

    Raises:
        SdkNeeded: the bucket lives elsewhere; nothing was deleted.
        TransferError: the service or the connection failed; some keys may have been deleted before.
    """

    async def make(step: Step) -> list[NotDeleted] | None:
        if isinstance(step, Together):
            return await _delete_batch(lane, target, bucket, step.doomed)
        one = step.doomed
        await delete_object(lane, target, bucket, one.key, one.version_id, known=step.known)
        return None

    return await carried_out_async(deletion(doomed, lane.learned, target.host), make)


async def _delete_batch(lane: Lane, target: Target, bucket: str, doomed: Sequence[Doomed]) -> list[NotDeleted]:
    objects = [element("Object", *_named(one)) for one in doomed]
    # A quiet reply does not tell what was deleted.
    body = element("Delete", *objects, element("Quiet", "false"), attributes=XMLNS).encode()
    headers = [*lane.payer, *protection(target, body)]
    subject, many = f"s3://{bucket}", len(doomed) > 1
    reply = await lane.ask(target, "POST", "", [("delete", "")], headers, body, subject=subject, patient=many)
    result = reply.members(_RESULT)
    require_result(reply.body, subject)
    return batch_result(result, doomed)


def _named(one: Doomed) -> list[Written]:
    told = (("Key", one.key), ("VersionId", one.version_id), ("ETag", one.etag))
    return [element(name, text) for name, text in told if text]


__all__ = ["delete_object", "delete_objects"]
