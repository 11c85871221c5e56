"""Deletes keys in batches, and makes of the answers one result a key."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.engine.loop.batches import in_batches
from bulkhaul.engine.messages.memory import in_memory
from bulkhaul.engine.messages.requests import DeleteMany
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import Doomed, NotDeleted
from bulkhaul.wire.classify import service_error


async def delete_in_batches(
    requests: Requests, bucket: str, doomed: AsyncIterable[Doomed]
) -> AsyncGenerator[TransferResult, None]:
    """Delete in batches of 1,000 and yield each key's outcome.

    Raises:
        TransferError: a whole batch failed.
    """
    async with aclosing(in_batches(doomed, MAX_DELETE_BATCH)) as batches:
        async for batch in batches:
            for result in await delete_batch(requests, bucket, batch):
                yield result


def deleted_result(bucket: str, doomed: Doomed, refused: NotDeleted | None = None) -> TransferResult:
    """Return the result for a key that was to be deleted.

    Args:
        refused: what the service said of it, None if it deleted it.
    """
    ref = ObjectRef(bucket, doomed.key)
    failure: ErrorInfo | None = None
    if refused is not None and refused.unconfirmed:
        text = "the service did not confirm that it was deleted; look with `bulkhaul ls`, and delete it again"
        failure = ErrorInfo("UnexpectedReply", text, ref.url, refused.message)
    elif refused is not None:
        failure = service_error(
            0, service_code=refused.service_code, detail=refused.message, headers={}, subject=ref.url
        )
    return TransferResult(
        source=ref.url,
        destination="",
        bucket=bucket,
        key=doomed.key,
        version_id=doomed.version_id,
        delete_marker=doomed.marker,
        failure=failure,
    )


async def delete_batch(
    requests: Requests,
    bucket: str,
    batch: Sequence[Doomed],
    *,
    before_again: Callable[[], Awaitable[None]] | None = None,
) -> list[TransferResult]:
    """Delete up to 1,000 keys, and return each one's outcome, in their order.

    Args:
        before_again: see ``Requests.ask``.

    Raises:
        TransferError: the whole batch failed; some keys may be deleted all the same.
    """
    try:
        encoded = msgspec.msgpack.encode(batch)
    except UnicodeEncodeError as error:
        raise UsageError("a key to delete is not valid UTF-8", f"s3://{bucket}", str(error)) from error
    with in_memory(encoded) as fd:
        kept = await requests.ask(DeleteMany(bucket), f"s3://{bucket}", memory_fd=fd, before_again=before_again)
    refused = {(one.key, one.version_id): one for one in kept}
    return [deleted_result(bucket, one, refused.get((one.key, one.version_id))) for one in batch]
