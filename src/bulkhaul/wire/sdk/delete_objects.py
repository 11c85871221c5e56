"""Deletes keys and versions: one by one, or up to 1,000 in a request where the endpoint can."""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.wire.learned import BATCHES
from bulkhaul.wire.replies.batch_result import NO_BATCHES, NOT_IN_XML, PATIENCE, batch_result
from bulkhaul.wire.replies.fields import quoted
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def delete_object(
    sdk: SdkClient, bucket: str, key: str, version_id: str, etag: str = "", *, known: bool = False
) -> None:
    """Delete a key, or one version of it; success also if there is none (any more), unless it is ``known`` to exist.

    Args:
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.

    Raises:
        PreconditionFailed: the object has another ETag.
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    condition = {"IfMatch": quoted(etag)} if etag else {}
    try:
        call(
            sdk.patient.delete_object,
            subject=f"s3://{bucket}/{key}",
            **object_names(bucket, key, version_id),
            **condition,
        )
    except NotFound as error:
        if known or error.info.service_code == "NoSuchBucket":
            raise


def delete_objects(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete up to 1,000 keys; return those that are not deleted for sure, with the service's reasons.

    One request deletes them all. Keys that XML cannot carry are deleted one by one, and so are all keys where the
    endpoint has no DeleteObjects.

    Raises:
        TransferError: the service or the connection failed; some keys may have been deleted before.
    """
    assert len(doomed) <= MAX_DELETE_BATCH
    together = [one for one in doomed if not NOT_IN_XML.search(one.key)]
    singly = [one for one in doomed if NOT_IN_XML.search(one.key)]
    failed: list[NotDeleted] = []
    if together and not sdk.takes(BATCHES):
        singly = [*together, *singly]
    elif together:
        try:
            failed += _delete_batch(sdk, bucket, together)
        except TransferError as error:
            failed += _instead_of_batch(sdk, bucket, together, error)
    failed += [wrong for one in singly if (wrong := _delete_singly(sdk, bucket, one)) is not None]
    return tuple(failed)


def _delete_batch(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> list[NotDeleted]:
    objects = [{"Key": one.key} | ({"VersionId": one.version_id} if one.version_id else {}) for one in doomed]
    reply = call(
        sdk.patient.delete_objects,
        subject=f"s3://{bucket}",
        Bucket=bucket,
        Delete={"Objects": objects, "Quiet": False},  # a quiet reply does not tell what was deleted
    )
    sdk.worked(BATCHES)
    return batch_result(reply, doomed)


def _instead_of_batch(
    sdk: SdkClient, bucket: str, doomed: Sequence[Doomed], refused: TransferError
) -> list[NotDeleted]:
    """Delete one by one if ``refused`` may mean that the endpoint has no DeleteObjects; else raise it.

    If a single key is refused with the same error, the refusal was not about the batch.
    """
    passing = refused.info.status == 500
    alone = refused.info.status in NO_BATCHES and refused.info.service_code != "NoSuchBucket"
    if not alone or (passing and sdk.failed(BATCHES) < PATIENCE):
        raise refused
    first, *others = doomed
    wrong = _delete_singly(sdk, bucket, first, known=isinstance(refused, NotFound))
    if wrong is not None and wrong.service_code in (refused.info.service_code, refused.info.code, "NotFound"):
        raise refused
    if not passing:
        sdk.does_without(BATCHES)
    outcomes = [wrong, *(_delete_singly(sdk, bucket, one) for one in others)]
    return [one for one in outcomes if one is not None]


def _delete_singly(sdk: SdkClient, bucket: str, one: Doomed, *, known: bool = False) -> NotDeleted | None:
    """Delete a key; return why it could not be deleted, None for success.

    Args:
        known: a 404 is no success: the endpoint may answer everything so.
    """
    try:
        delete_object(sdk, bucket, one.key, one.version_id, known=known)
    except TransferError as error:
        if error.retryable or error.info.service_code == "NoSuchBucket":
            raise
        return NotDeleted(one.key, one.version_id, error.info.service_code or error.info.code, error.message)
    return None


__all__ = ["delete_object", "delete_objects"]
