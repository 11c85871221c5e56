"""Reads the rows of a plan: takes their pages one by one, and resolves what each row names.

What is wrong with a row becomes the failure of that row, and the others go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

import msgspec

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.model.errors import ErrorInfo, TransferError, UsageError
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.sameness import quoted
from bulkhaul.policy.selection import parse_destination

PlannedRow = Row | TransferResult
"""A row, or the result of one for which there is nothing to do: it is handed on as it is."""

RowPages = AsyncIterable[Sequence[PlannedRow]] | Iterable[Sequence[PlannedRow]]
"""Pages of rows. What lies in one page may go together, so that a page of some hundred rows is moved soonest."""


async def pages_of(rows: RowPages) -> AsyncGenerator[Sequence[PlannedRow], None]:
    """Yield the pages, each when it is asked for; an iterable that is not asynchronous is read in a thread."""
    if isinstance(rows, AsyncIterable):
        async with contextlib.AsyncExitStack() as stack:
            if isinstance(rows, AsyncGenerator):
                await stack.enter_async_context(contextlib.aclosing(rows))
            async for page in rows:
                yield page
        return
    pages = iter(rows)
    while (found := await undisturbed(in_thread(next, pages, None))) is not None:
        yield found


class Refs:
    """Resolves URLs of objects, whose keys stand as they are; most have the bucket of the one before."""

    def __init__(self) -> None:
        self._bucket = ""
        self._base = "s3://"

    def ref(self, url: str) -> ObjectRef:
        """Return the object that a URL names.

        Raises:
            TransferError: it names none.
        """
        if self._bucket and url.isascii() and url.startswith(self._base) and len(url) > len(self._base):
            ref = ObjectRef(self._bucket, url[len(self._base) :])
        else:
            bucket, key = parse_destination(url, "an object")
            if not key:
                raise UsageError("the key is empty; name an object", url)
            ref = ObjectRef(bucket, key)
            self._bucket, self._base = bucket, f"s3://{bucket}/"
        if len(url) > MAX_KEY_BYTES // 4 and len(ref.key.encode()) > MAX_KEY_BYTES:
            raise UsageError(f"the key has more than {MAX_KEY_BYTES} bytes", url)
        return ref


def settled(row: PlannedRow, action: Action) -> Row | TransferResult:
    """Return the row, or its result where nothing is to be done for it: it is skipped, or is for something else."""
    if isinstance(row, TransferResult) or row.action is action:
        return row
    if row.action is Action.SKIP:
        return result_of_row(row, skipped=row.reason or "nothing is to be done")
    return failed_row(row, UsageError(f"the row asks for {row.action}, and this run is for {action}"))


def result_of_row(row: Row, ref: ObjectRef | None = None, *, skipped: str = "") -> TransferResult:
    """Return what is known of a row before its work.

    Args:
        ref: the object whose bucket and key it tells, as far as there is one.
    """
    return TransferResult(
        source=row.source,
        destination=row.destination,
        bucket=ref.bucket if ref else "",
        key=ref.key if ref else "",
        size=row.size or 0,
        etag=row.etag,
        version_id=row.version_id,
        last_modified=row.last_modified,
        skipped=skipped,
        row=row.n,
    )


def failed_row(row: Row, error: TransferError | ErrorInfo) -> TransferResult:
    """Return the result of a row that cannot be done."""
    info = error.named(row.source).info if isinstance(error, TransferError) else error
    return msgspec.structs.replace(result_of_row(row), failure=info)


def wanted_by(row: Row, key: str) -> ObjectHead | None:
    """Return what the object of a row has to have; None where that tells neither ETag nor length: any one will do."""
    return head_of_row(row, key) if row.etag or row.size is not None else None


def head_of_row(row: Row, key: str) -> ObjectHead:
    """Return what a row tells of its object, as a listing would."""
    return ObjectHead(
        key,
        row.size or 0,
        quoted(row.etag) if row.etag else "",
        row.last_modified,
        row.version_id,
        storage_class=row.storage_class,
    )
