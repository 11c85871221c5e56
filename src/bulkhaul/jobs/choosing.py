"""Copies what is selected as ``cp`` does, but by rows: some of them can be left out, or waited for.

selection ─▶ rows ─▶ flattened ─▶ those whose destination stays are left out ─▶ the engine ─▶ results
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from bulkhaul.disk.paths import local_path
from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.walk import LocalFile, Names, Refused, walk
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.transfers.endpoints import (
    destination_prefix,
    destination_ref,
    file_path,
    files_below,
    many_source,
    object_ref,
)
from bulkhaul.engine.transfers.relay import same_bucket
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.engine.transfers.rows import PlannedRow, failed_row, result_of_row
from bulkhaul.engine.transfers.upload_many import link_rule, rank_of
from bulkhaul.jobs.archives import Ready, Transfer, restored
from bulkhaul.jobs.overwriting import replacing
from bulkhaul.jobs.row_sources import Begun, FileRows, ObjectRows, RowSource, copy_row, download_row
from bulkhaul.jobs.settled_rows import settled_row
from bulkhaul.model.archives import RestoreCounts, RestoreOptions
from bulkhaul.model.errors import TransferError, UsageError
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.naming import base_name
from bulkhaul.policy.overwriting import Overwrite
from bulkhaul.policy.selection import Source, selector


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What is transferred of a selection, and how.

    Attributes:
        overwrite: which destinations are replaced that exist.
        flatten: every object and file gets its own name below the destination, without the folders before it.
        follow_symlinks: of uploads; see ``AsyncEngine.upload_many``.
        stored, preserve: of uploads and copies; see ``AsyncEngine.copy``.
        move: remove each source once its copy is durable.
        version_id: of one object.
        restore: how archived objects of the source are brought back; None leaves each of them a failure.
        counts: what became of those; is kept up to date.
    """

    overwrite: Overwrite = Overwrite()
    flatten: bool = False
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    follow_symlinks: bool | None = None
    stored: ObjectOptions | None = None
    preserve: frozenset[Kept] = frozenset()
    move: bool = False
    dry_run: bool = False
    version_id: str = ""
    restore: RestoreOptions | None = None
    counts: RestoreCounts | None = None


async def chosen_objects(
    engine: AsyncEngine,
    source: str,
    destination: str,
    choice: Choice,
    *,
    recursive: bool,
    origin: AsyncEngine | None = None,
) -> AsyncGenerator[TransferResult, None]:
    """Download or copy the objects below a prefix, or those that match a pattern.

    Args:
        origin: an engine of the source's endpoint or credentials.

    Yields:
        One result an object.

    Raises:
        NotFound: nothing matches.
        TransferError: a listing or the folder failed.
    """
    parsed = many_source(source, recursive=recursive)
    if destination.startswith("s3://"):
        action, top = Action.COPY, ObjectRef(*destination_prefix(destination)).url
    else:
        action, top = Action.DOWNLOAD, os.path.join(local_path(destination), "")
    rows = numbered(await object_rows(engine, parsed, destination, choice, origin))
    if choice.flatten:
        rows = flattened(rows, top)
    transfer = transfer_of(engine, action, destination, choice, move=choice.move, origin=origin)
    async with aclosing(transferred(engine, origin or engine, rows, transfer, choice)) as results:
        async for result in results:
            yield result


async def chosen_files(
    engine: AsyncEngine, folder: str, destination: str, choice: Choice
) -> AsyncGenerator[TransferResult, None]:
    """Upload the files below a folder.

    A move uploads what links lead to before anything else, as files are removed once they are stored; see
    ``engine.transfers.upload_many``.

    Yields:
        One result a file.

    Raises:
        LocalError: the folder cannot be read.
        InvalidUrl: the destination names no bucket.
    """
    folder = local_path(folder)
    bucket, prefix = destination_prefix(destination)
    top, takes = ObjectRef(bucket, prefix).url, selector(files_below(folder), choice.include, choice.exclude)
    n = 0
    seen = SeenNames()
    try:
        for entries, move in await in_thread(passes, folder, choice):
            files = FileRows(folder, bucket, prefix, takes, entries=entries)
            rows = numbered(files, n)
            if choice.flatten:
                rows = flattened(rows, top, seen)
            upload = transfer_of(engine, Action.UPLOAD, destination, choice, move=move)
            async with aclosing(transferred(engine, engine, rows, upload, choice)) as results:
                async for result in results:
                    n = max(n, result.row + 1)
                    yield result
    finally:
        seen.close()


async def chosen_one(
    engine: AsyncEngine,
    source: str | ObjectRef,
    destination: str,
    choice: Choice,
    *,
    origin: AsyncEngine | None = None,
) -> AsyncGenerator[TransferResult, None]:
    """Transfer one object or file, unless its destination is to stay.

    Yields:
        Its result.

    Raises:
        TransferError: it could not be done, or the names make no sense.
    """
    row = one_row(source, destination, choice)

    async def transfer(pages: Ready) -> AsyncGenerator[TransferResult, None]:
        async with aclosing(pages):
            async for page in pages:
                for planned in page:
                    yield planned if isinstance(planned, TransferResult) else await moved()

    async def moved() -> TransferResult:
        how: dict[str, Any] = {"move": choice.move, "dry_run": choice.dry_run}
        try:
            if row.action is Action.UPLOAD:
                done = await engine.upload(row.source, row.destination, choice.stored or DEFAULT_OPTIONS, **how)
            elif row.action is Action.DOWNLOAD and choice.dry_run and await in_thread(_lacks_folder, row.destination):
                ref = object_ref(source)
                head = await engine.control.head(ref, row.version_id)
                done = result_of(ref, head, row.destination)  # the command would make the folder
            elif row.action is Action.DOWNLOAD:
                done = await engine.download(object_ref(source), destination, version_id=row.version_id, **how)
            else:
                done = await engine.copy(
                    object_ref(source),
                    destination,
                    choice.stored,
                    origin=origin,
                    preserve=choice.preserve,
                    version_id=row.version_id,
                    **how,
                )
        except TransferError as error:
            return failed_row(row, error)
        return msgspec.structs.replace(done, row=row.n)

    async def rows() -> AsyncGenerator[Sequence[PlannedRow], None]:
        yield [row]

    async with aclosing(transferred(engine, origin or engine, rows(), transfer, choice)) as results:
        async for result in results:
            yield result


def one_row(source: str | ObjectRef, destination: str, choice: Choice) -> Row:
    """Return the row of one object or file, with the name that the engine will give it."""
    if isinstance(source, str) and not source.startswith("s3://"):
        path = local_path(source)
        return Row(n=0, action=Action.UPLOAD, source=path, destination=destination_ref(destination, path).url)
    ref = object_ref(source)
    if destination.startswith("s3://"):
        action, place = Action.COPY, destination_ref(destination, ref.key).url
    else:
        action, place = Action.DOWNLOAD, file_path(ref, local_path(destination))
    return Row(n=0, action=action, source=ref.url, destination=place, version_id=choice.version_id)


def _lacks_folder(path: str) -> bool:
    return not os.path.lexists(os.path.dirname(path) or os.curdir)


async def transferred(
    engine: AsyncEngine, asked: AsyncEngine, rows: Ready, transfer: Transfer, choice: Choice
) -> AsyncGenerator[TransferResult, None]:
    """Carry out rows, but those whose destination is to stay; what is archived is brought back where that is asked."""
    chosen = replacing(rows, choice.overwrite, control=engine.control, origin=asked.control)
    if choice.restore is None or choice.dry_run:
        results = transfer(chosen)
    else:
        results = restored(asked.control, chosen, transfer, choice.restore, counts=choice.counts)
    async with aclosing(results):
        async for result in results:
            yield result


def transfer_of(
    engine: AsyncEngine,
    action: Action,
    destination: str,
    choice: Choice,
    *,
    move: bool,
    origin: AsyncEngine | None = None,
) -> Transfer:
    """Return what does the rows of one kind.

    Args:
        destination: the folder of a download.
        origin: an engine of the source's endpoint or credentials.
    """
    how: dict[str, Any] = {"move": move, "dry_run": choice.dry_run}
    if action is Action.UPLOAD:
        return functools.partial(engine.upload_rows, options=choice.stored or DEFAULT_OPTIONS, **how)
    if action is Action.COPY:
        more: dict[str, Any] = {"origin": origin, "preserve": choice.preserve}
        return functools.partial(engine.copy_rows, options=choice.stored, **more, **how)
    return functools.partial(engine.download_rows, root=local_path(destination), **how)


async def object_rows(
    engine: AsyncEngine, parsed: Source, destination: str, choice: Choice, origin: AsyncEngine | None
) -> ObjectRows:
    """Return what lists the chosen objects of a source as rows; see ``row_maker``."""
    row_of = await row_maker(engine, parsed, destination, origin)
    links = engine.settings.store_links and not destination.startswith("s3://")
    takes = selector(parsed, choice.include, choice.exclude, stores_links=links)
    return ObjectRows((origin or engine).control, parsed, takes, row_of)


async def row_maker(
    engine: AsyncEngine, parsed: Source, destination: str, origin: AsyncEngine | None
) -> Callable[[ObjectHead], Row]:
    """Return what makes the row of an object of a source: a download, or a copy where the destination is in S3.

    Args:
        origin: an engine of the source's endpoint or credentials.

    Raises:
        TransferError: it cannot be told whether both are one bucket.
    """
    if destination.startswith("s3://"):
        bucket, prefix = destination_prefix(destination)
        within = origin is None or await same_bucket(origin.control, engine.control, bucket)
        return copy_row(parsed, bucket, prefix, within=within)
    return download_row(parsed, local_path(destination))


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


async def flattened(rows: Ready, top: str, seen: SeenNames | None = None) -> Ready:
    """Yield the rows with the last name of their source below ``top``; the second one of a name fails."""
    taken = seen or SeenNames()
    try:
        async with aclosing(rows):
            async for page in rows:
                yield [flat(row, top, taken) if isinstance(row, Row) else row for row in page]
    finally:
        if seen is None:
            taken.close()


def flat(row: Row, top: str, taken: SeenNames) -> PlannedRow:
    """Return a row with the last name of its source below ``top``, or why it has no place there."""
    if row.source.endswith("/") and not row.size:
        return result_of_row(
            msgspec.structs.replace(row, destination=""), skipped="it marks a folder and holds nothing"
        )
    name = base_name(row.source)
    if not name.components:
        return failed_row(row, UsageError(f"its last name cannot be used alone: {name.refused}", row.source))
    destination = top + name.components[0]
    if earlier := taken.earlier(destination, row.source):
        text = f"without its folders it would be {destination}, as {earlier} is"
        return failed_row(row, UsageError(text, row.source))
    return msgspec.structs.replace(row, destination=destination)


def passes(folder: str, choice: Choice) -> list[tuple[Callable[[], Iterator[LocalFile | Refused]], bool]]:
    """Return the passes over a folder, each with whether its files are removed once they are stored."""
    links = link_rule(choice.follow_symlinks, move=choice.move, dry_run=choice.dry_run)
    listed = functools.partial(walk, folder, follow_symlinks=links.follow, enter_links=links.enter)
    if not links.first:
        return [(listed, choice.move)]

    def of_rank(rank: int) -> Iterator[LocalFile | Refused]:
        found = listed(names=Names.LINKS)
        return (entry for entry in found if (rank_of(entry) if isinstance(entry, LocalFile) else 0) == rank)

    ranks = {rank_of(entry) if isinstance(entry, LocalFile) else 0 for entry in listed(names=Names.LINKS)}
    passes = [(functools.partial(of_rank, rank), rank != sys.maxsize) for rank in sorted(ranks, reverse=True)]
    return [*passes, (functools.partial(listed, names=Names.PLAIN), True)]


__all__ = [
    "Choice",
    "chosen_files",
    "chosen_objects",
    "chosen_one",
    "flat",
    "flattened",
    "numbered",
    "object_rows",
    "one_row",
    "passes",
    "row_maker",
    "transfer_of",
    "transferred",
]
