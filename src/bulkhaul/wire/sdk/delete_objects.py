"""Deletes keys and versions: one by one, or up to 1,000 in a request where the endpoint can."""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.model.errors import NotFound
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.policy.sameness import quoted
from bulkhaul.wire import told
from bulkhaul.wire.deletion import Step, Together, deletion
from bulkhaul.wire.replies.batch_result import batch_result
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.steps import carried_out


def delete_object(
    sdk: SdkClient, bucket: str, key: str, version_id: str, etag: str = "", *, known: bool = False
) -> str:
    """Delete a key, or one version of it; success also if there is none (any more), unless it is ``known`` to exist.

    Args:
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.

    Returns:
        The version of the delete marker that this has made; empty where none was made or told.

    Raises:
        PreconditionFailed: the object has another ETag.
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    condition = {"IfMatch": quoted(etag)} if etag else {}
    try:
        reply = call(
            sdk.client.delete_object,
            subject=f"s3://{bucket}/{key}",
            **object_names(bucket, key, version_id),
            **condition,
        )
    except NotFound as error:
        if known or error.info.service_code == "NoSuchBucket":
            raise
        return ""
    made = not version_id and reply.get("DeleteMarker")
    return told.version(reply.get("VersionId"), f"s3://{bucket}/{key}") if made else ""


def delete_objects(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete up to 1,000 keys; return those that are not deleted for sure, with the service's reasons.

    One request deletes them all. Keys that XML cannot carry are deleted one by one, and so are all keys where the
    endpoint has no DeleteObjects.

    Raises:
        TransferError: the service or the connection failed; some keys may have been deleted before.
    """

    def make(step: Step) -> list[NotDeleted] | None:
        if isinstance(step, Together):
            return _delete_batch(sdk, bucket, step.doomed)
        one = step.doomed
        delete_object(sdk, bucket, one.key, one.version_id, known=step.known)
        return None

    return carried_out(deletion(doomed, sdk.learned, sdk.hostname), make)


def _delete_batch(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> list[NotDeleted]:
    objects = [_named(one) for one in doomed]
    client = sdk.patient if len(doomed) > 1 else sdk.client
    reply = call(
        client.delete_objects,
        subject=f"s3://{bucket}",
        Bucket=bucket,
        Delete={"Objects": objects, "Quiet": False},  # a quiet reply does not tell what was deleted
    )
    return batch_result(reply, doomed)


def _named(one: Doomed) -> dict[str, str]:
    told = {"Key": one.key, "VersionId": one.version_id, "ETag": one.etag}
    return {name: text for name, text in told.items() if text}


__all__ = ["delete_object", "delete_objects"]
