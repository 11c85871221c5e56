"""Downloads and copies one object or everything below a prefix, and brings back what of it is archived."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.transfers.endpoints import destination_prefix, many_source, object_ref
from bulkhaul.engine.transfers.relay import same_bucket
from bulkhaul.engine.transfers.rows import PlannedRow, failed_row
from bulkhaul.jobs.archives import Clock, Ready, Transfer, restored
from bulkhaul.jobs.row_sources import Begun, ObjectRows, RowSource, copy_row, download_row
from bulkhaul.jobs.runner import settled_row
from bulkhaul.model.archives import RestoreCounts, RestoreOptions
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.selection import selector

Place = str | os.PathLike[str]


async def many_restored(
    engine: AsyncEngine,
    source: str,
    destination: Place,
    options: RestoreOptions,
    *,
    stored: ObjectOptions | None = None,
    origin: AsyncEngine | None = None,
    recursive: bool = True,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    counts: RestoreCounts | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[TransferResult, None]:
    """Download or copy as ``AsyncEngine.download_many`` and ``copy_many`` do, and what is archived when it is there.

    Args:
        stored, origin: of a copy.
        counts: is kept up to date.

    Yields:
        One result an object.

    Raises:
        NotFound: nothing matches.
        TransferError: a listing or the folder failed.
    """
    parsed, asked = many_source(source, recursive=recursive), origin or engine
    transfer: Transfer
    if (place := os.fspath(destination)).startswith("s3://"):
        bucket, prefix = destination_prefix(place)
        within = origin is None or await same_bucket(origin.control, engine.control, bucket)
        row_of = copy_row(parsed, bucket, prefix, within=within)
        transfer = functools.partial(engine.copy_rows, options=stored, origin=origin)
    else:
        root = local_path(destination)
        row_of = download_row(parsed, root)
        transfer = functools.partial(engine.download_rows, root=root)
    rows = numbered(ObjectRows(asked.control, parsed, selector(parsed, include, exclude), row_of))
    async with aclosing(restored(asked.control, rows, transfer, options, counts=counts, clock=clock)) as results:
        async for result in results:
            yield result


async def one_restored(
    engine: AsyncEngine,
    source: str | ObjectRef,
    destination: str,
    options: RestoreOptions,
    *,
    stored: ObjectOptions | None = None,
    origin: AsyncEngine | None = None,
    version_id: str = "",
    counts: RestoreCounts | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[TransferResult, None]:
    """Download or copy one object as ``AsyncEngine.download`` and ``copy`` do, when it is there.

    Args:
        stored, origin: of a copy.
        counts: is kept up to date.

    Yields:
        Its result.

    Raises:
        UsageError: the source names no object.
    """
    ref = object_ref(source)
    is_copy = destination.startswith("s3://")
    action = Action.COPY if is_copy else Action.DOWNLOAD
    row = Row(n=0, action=action, source=ref.url, destination=destination, version_id=version_id)

    async def transfer(pages: Ready) -> AsyncGenerator[TransferResult, None]:
        async with aclosing(pages):
            async for page in pages:
                for found in page:
                    yield found if isinstance(found, TransferResult) else await move()

    async def move() -> TransferResult:
        try:
            if is_copy:
                moved = await engine.copy(ref, destination, stored, origin=origin, version_id=version_id)
            else:
                moved = await engine.download(ref, destination, version_id=version_id)
        except TransferError as error:
            return failed_row(row, error)
        return msgspec.structs.replace(moved, row=row.n)

    control = (origin or engine).control
    async with aclosing(restored(control, [[row]], transfer, options, counts=counts, clock=clock)) as results:
        async for result in results:
            yield result


async def numbered(source: RowSource, n: int = 0) -> AsyncGenerator[Sequence[PlannedRow], None]:
    """Yield all rows of a source with their numbers, from ``n`` on; one for which nothing is to be done as its result.

    Raises:
        Whatever the source raises.
    """
    begun = Begun(rows=0, last=None, anchor="", ascending=False, has=lambda _: False)
    async with aclosing(source.rows(begun)) as pages:
        async for page in pages:
            yield [settled_row(msgspec.structs.replace(row, n=at)) for at, row in enumerate(page, n)]
            n += len(page)


__all__ = ["many_restored", "numbered", "one_restored"]
