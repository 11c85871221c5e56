"""Makes a destination have what its source has: ``sync`` and ``sync_async``.

list both ─▶ merge_join ─▶ SyncPlan ─▶ rows ─▶ the engine ─▶ results
                              ╰─▶ what only the destination has ─▶ deleted, when all of that was sound
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence

import msgspec

from bulkhaul.disk.folder import DestinationTree
from bulkhaul.disk.removal import Removal
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.archives import Clock, Ready, Transfer, restored
from bulkhaul.jobs.evidence import Evidence
from bulkhaul.jobs.merge_join import merge_join
from bulkhaul.jobs.ordering import in_order
from bulkhaul.jobs.permissions import check_permissions
from bulkhaul.jobs.places import FileSide, ObjectSide, Side, Sides, sides_of, source_among
from bulkhaul.jobs.sides import Item, file_pages, object_pages, read_ahead
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.sync_plan import LocalNames, PlannedRow, SyncPlan
from bulkhaul.model.errors import LocalError, OtherError, TransferError, error_of
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import Content, ObjectRef
from bulkhaul.model.results import RowResult, TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.comparison import Entry, listed_difference, parse_compare
from bulkhaul.policy.costs import by_class
from bulkhaul.policy.permissions import Side as PermissionSide
from bulkhaul.policy.permissions import needed
from bulkhaul.policy.plan_totals import Totals
from bulkhaul.policy.selection import (
    excludes_below,
    selector,
)
from bulkhaul.policy.withholding import DeletionLimit, parse_limit, withheld

DIRECTORY_BUCKET = "--x-s3"
"""How the names of directory buckets end, which list in no order. Source: S3 User Guide, "Directory bucket naming
rules" and ListObjectsV2, "Sorting order of returned objects"."""

_FOLDER_TYPE = ObjectOptions(content=Content(content_type="application/x-directory"))


def sync(
    engine: Engine,
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    options: SyncOptions | None = None,
    *,
    stored: ObjectOptions | None = None,
    origin: AsyncEngine | None = None,
    counts: SyncCounts | None = None,
) -> Iterator[RowResult]:
    """Sync on the loop of a blocking engine; see ``sync_async``."""
    return engine.each(
        sync_async(engine.aio, source, destination, options, stored=stored, origin=origin, counts=counts)
    )


async def sync_async(
    engine: AsyncEngine,
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    options: SyncOptions | None = None,
    *,
    stored: ObjectOptions | None = None,
    origin: AsyncEngine | None = None,
    counts: SyncCounts | None = None,
    clock: Clock | None = None,
) -> AsyncGenerator[RowResult, None]:
    """Make a destination have what is below a prefix, or a folder; what is there already is not moved again.

    Deletions come last, and only if everything could be listed and everything else was done: what cannot be looked at
    is never taken for missing.

    Args:
        stored: how objects are stored; see ``AsyncEngine.upload`` and ``copy``.
        origin: an engine of the source's endpoint or credentials.
        counts: is kept up to date.
        clock: by which archived objects are waited for.

    Yields:
        One result a row of the plan, as it ends. Names that both sides have alike are only counted.

    Raises:
        UsageError: source and destination make no sense together.
        MissingPermission: the sync needs what the credentials do not allow; nothing was begun.
        OtherError: what was to be deleted was withheld; the message says why, and what to do.
        TransferError: a side cannot be listed. What was under way has ended by then, and nothing was deleted.
    """
    running = _Sync(engine, origin or engine, options or SyncOptions(), stored, counts or SyncCounts(), clock)
    async with contextlib.aclosing(running.run(os.fspath(source), os.fspath(destination))) as results:
        async for result in results:
            yield result


class _Sync:
    """One sync from its beginning to its end."""

    def __init__(
        self,
        engine: AsyncEngine,
        origin: AsyncEngine,
        options: SyncOptions,
        stored: ObjectOptions | None,
        counts: SyncCounts,
        clock: Clock | None,
    ) -> None:
        self._engine = engine
        self._origin = origin
        self._options = options
        self._stored = stored
        self._counts = counts
        self._clock = clock
        self._pending: dict[int, Row] = {}
        self._failed = 0
        self._tree: DestinationTree | None = None

    async def run(self, source: str, destination: str) -> AsyncGenerator[RowResult, None]:
        options = self._options
        compare = parse_compare(options.compare)
        limit = parse_limit(options.max_delete) if options.max_delete else None
        sides = await sides_of(self._engine, self._origin, source, destination)
        await self._require_permissions(sides)
        evidence = Evidence(compare, sides.source, sides.destination)
        names = await self._names(sides) if sides.action is Action.DOWNLOAD else None
        plan = SyncPlan(
            sides.action,
            sides.source,
            sides.destination,
            listed_difference(compare, sides.action),
            look=evidence.difference if evidence.needed else None,
            names=names,
            delete=options.delete,
            dir_markers=options.dir_markers,
            left_out=sides.left_out,
            counts=self._counts,
        )
        try:
            async with contextlib.aclosing(self._transfers(plan, sides)) as results:
                async for result in results:
                    self._failed += result.failure is not None
                    yield result
            if options.delete:
                async with contextlib.aclosing(self._deletions(plan, sides, limit)) as deletions:
                    async for deleted in deletions:
                        yield self._told(deleted)
        finally:
            plan.close()
            if self._tree is not None:
                self._tree.close()

    async def _require_permissions(self, sides: Sides) -> None:
        """Try what would be found missing at the end only, or with each object; listing, GET and PUT show at once."""
        options = self._options
        places: dict[PermissionSide, tuple[str, str]] = {}
        if isinstance(sides.source, ObjectSide):
            places["source"] = (sides.source.bucket, sides.listed)
        if isinstance(sides.destination, ObjectSide):
            places["destination"] = (sides.destination.bucket, sides.destination.base)
        deletes = options.delete and "destination" in places
        late = needed([sides.action], preserve=options.preserve, deletes=deletes)
        needs = [need for need in late if need.action not in ("s3:GetObject", "s3:PutObject")]
        await check_permissions(
            self._engine,
            needs,
            source=places.get("source"),
            destination=places.get("destination"),
            origin=self._origin,
            stored=self._stored,
            writes=not options.dry_run,
        )

    async def _names(self, sides: Sides) -> LocalNames:
        if self._options.dry_run:
            return LocalNames(folds_case=False)
        self._tree = await undisturbed(in_thread(DestinationTree, _root(sides.destination), kept=1))
        return LocalNames(folds_case=await undisturbed(in_thread(self._tree.folds_case)))

    # What is moved

    async def _transfers(self, plan: SyncPlan, sides: Sides) -> AsyncGenerator[RowResult, None]:
        rows, options, counts = self._rows(plan, sides), self._options, self._counts.restores
        move: Transfer = functools.partial(self._moved, sides)
        if options.restore is not None and not options.dry_run and isinstance(sides.source, ObjectSide):
            control = sides.source.control
            results = restored(control, rows, move, options.restore, counts=counts, clock=self._clock)
        else:
            results = move(rows)
        try:
            async with contextlib.aclosing(results) as moved:
                async for one in moved:
                    yield one if isinstance(one, RowResult) else self._told(one)
        except TransferError as error:
            if not self._options.delete:
                raise
            told = msgspec.structs.replace(error.info, message=f"{error.message}; nothing was deleted")
            raise error_of(told) from error

    async def _moved(self, sides: Sides, planned: Ready) -> AsyncGenerator[TransferResult, None]:
        """Carry out rows, and tell of each what was planned: nothing is remembered of those that wait elsewhere."""
        rows = self._noted(planned)
        if self._options.dry_run:
            results = self._dry(rows)
        elif sides.action is Action.DOWNLOAD:
            results = self._engine.download_rows(rows, _root(sides.destination), set_times=True)
        elif sides.action is Action.UPLOAD:
            results = self._engine.upload_rows(rows, self._stored or DEFAULT_OPTIONS)
        else:
            origin = self._origin if self._origin is not self._engine else None
            results = self._engine.copy_rows(rows, self._stored, origin=origin, preserve=self._options.preserve)
        async with contextlib.aclosing(results):
            async for result in results:
                yield self._told(result)

    async def _noted(self, planned: Ready) -> Ready:
        async with contextlib.aclosing(planned) as pages:
            async for page in pages:
                self._pending.update((row.n, row) for row in page if isinstance(row, Row))
                yield page

    async def _dry(self, pages: AsyncGenerator[Sequence[PlannedRow], None]) -> AsyncGenerator[TransferResult, None]:
        totals = Totals(self._engine.settings, relayed=self._origin is not self._engine)
        async with contextlib.aclosing(_dry(pages)) as results:
            async for result in results:
                if (row := self._pending.get(result.row)) is not None:
                    totals.add([row])
                yield result
        requests = {f"{name}_requests": count for name, count in by_class(totals.requests).items()}
        self._counts.costs = requests | {f"{route}_bytes": count for route, count in totals.routes.items()}

    async def _rows(self, plan: SyncPlan, sides: Sides) -> AsyncGenerator[Sequence[PlannedRow], None]:
        options = self._options
        takes = selector(sides.selection, options.include, options.exclude)
        excludes = excludes_below(options.exclude)
        source: AsyncGenerator[list[Item], None]
        if isinstance(sides.source, ObjectSide):
            source = _listed(sides.source, sides.listed, takes)
        else:
            source = file_pages(
                _root(sides.source),
                takes,
                excludes,
                follow_symlinks=options.follow_symlinks,
                folders=options.dir_markers,
                nameless=plan.nameless.append,
            )
        destination: AsyncGenerator[list[Item], None]
        if isinstance(sides.destination, ObjectSide):
            destination = _listed(sides.destination, sides.destination.base, takes)
        else:
            root, folders = _root(sides.destination), options.dir_markers
            destination = file_pages(root, takes, excludes, follow_symlinks=False, folders=folders, destination=True)
        async with read_ahead(source) as ours, read_ahead(destination) as theirs:
            async with contextlib.aclosing(plan.pages(merge_join(ours, theirs))) as pages:
                async for page in pages:
                    yield await self._with_markers(page, sides)

    async def _with_markers(self, page: Sequence[PlannedRow], sides: Sides) -> Sequence[PlannedRow]:
        """Make the folders, and the objects that mark folders, of a page; return it with their results in place."""
        if self._options.dry_run or not self._options.dir_markers or sides.action is Action.COPY:
            return page
        marks = [isinstance(row, Row) and row.destination.endswith("/") for row in page]
        if not any(marks):
            return page
        work = (self._mark(row, sides) for row, mark in zip(page, marks, strict=True) if mark and isinstance(row, Row))
        made = iter(await asyncio.gather(*work))
        return [next(made) if mark else row for row, mark in zip(page, marks, strict=True)]

    async def _mark(self, row: Row, sides: Sides) -> TransferResult:
        self._pending[row.n] = row
        result = _result_of(row)
        try:
            if isinstance(sides.destination, ObjectSide):
                bucket = sides.destination.bucket
                ref = ObjectRef(bucket, row.destination.removeprefix(f"s3://{bucket}/"))
                made = await self._engine.upload_bytes(b"", ref, self._stored or _FOLDER_TYPE)
                return msgspec.structs.replace(made, source=row.source, row=row.n)
            assert self._tree is not None
            relative = row.destination.removeprefix(sides.destination.base)
            self._tree.folder(tuple(relative.removesuffix("/").split("/"))).release()
        except TransferError as error:
            return msgspec.structs.replace(result, failure=error.named(row.source).info)
        return result

    # What is deleted

    async def _deletions(
        self, plan: SyncPlan, sides: Sides, limit: DeletionLimit | None
    ) -> AsyncGenerator[TransferResult, None]:
        why = withheld(
            plan.doomed.count,
            self._counts.at_destination,
            found=self._counts.found,
            failed=self._failed,
            unsound=plan.unsound,
            limit=limit,
        )
        if why:
            raise OtherError(why, sides.destination.place(""))
        if not plan.doomed.count:
            return
        if same := await source_among(sides, plan.doomed.pages()):
            text = "nothing was deleted, because SRC seems to lie in DEST under another name: this would delete it"
            raise OtherError(text, same)
        results: AsyncGenerator[TransferResult, None]
        if self._options.dry_run:
            results = _dry(self._doomed_rows(plan))
        elif isinstance(sides.destination, ObjectSide):
            results = self._engine.delete_rows(self._doomed_rows(plan))
        else:
            results = self._removed_files(plan, _root(sides.destination))
        async with contextlib.aclosing(results):
            async for result in results:
                yield result

    async def _doomed_rows(self, plan: SyncPlan) -> AsyncGenerator[Sequence[PlannedRow], None]:
        for page in plan.doomed.pages():
            rows = [plan.deletion(entry) for entry in page]
            self._pending.update((row.n, row) for row in rows)
            yield rows

    async def _removed_files(self, plan: SyncPlan, root: str) -> AsyncGenerator[TransferResult, None]:
        removal = await undisturbed(in_thread(Removal, root, plan.marked.has))
        try:
            for page in plan.doomed.pages():
                rows = [plan.deletion(entry) for entry in page]
                self._pending.update((row.n, row) for row in rows)
                for result in await undisturbed(in_thread(_remove, removal, page, rows)):
                    yield result
        finally:
            await undisturbed(in_thread(removal.close))

    def _told(self, result: TransferResult) -> RowResult:
        row = self._pending.pop(result.row, None)
        fields = {name: getattr(result, name) for name in TransferResult.__struct_fields__}
        if row is None:  # nothing was to be done for it
            return RowResult(**fields, action=Action.SKIP)
        return RowResult(**fields, action=row.action, reason=row.reason)


async def _listed(side: ObjectSide, prefix: str, takes: Callable[[str], bool]) -> AsyncGenerator[list[Item], None]:
    listing = object_pages(side.control, side.bucket, prefix, side.base, takes)
    unordered = side.bucket.endswith(DIRECTORY_BUCKET)
    async with contextlib.aclosing(in_order(listing, f"s3://{side.bucket}/{prefix}", unordered=unordered)) as pages:
        async for page in pages:
            yield list(page)


def _root(side: Side) -> str:
    assert isinstance(side, FileSide)
    return side.base


async def _dry(pages: AsyncGenerator[Sequence[PlannedRow], None]) -> AsyncGenerator[TransferResult, None]:
    async with contextlib.aclosing(pages):
        async for page in pages:
            for row in page:
                yield _result_of(row) if isinstance(row, Row) else row


def _result_of(row: Row) -> TransferResult:
    """Return what is known of a row before it is carried out."""
    url = row.destination if row.destination.startswith("s3://") else row.source
    bucket, _, key = url.removeprefix("s3://").partition("/") if url.startswith("s3://") else ("", "", "")
    return TransferResult(
        source=row.source,
        destination=row.destination,
        bucket=bucket,
        key=key,
        size_bytes=0 if row.action is Action.DELETE else row.size_bytes or 0,
        etag=row.etag,
        last_modified=row.last_modified,
        row=row.n,
    )


def _remove(removal: Removal, page: Sequence[Entry], rows: Sequence[Row]) -> list[TransferResult]:
    results = []
    for entry, row in zip(page, rows, strict=True):
        result = _result_of(row)
        try:
            removal.remove(entry.name, SourceIdentity(entry.device, entry.inode, entry.size_bytes, entry.mtime_ns or 0))
        except LocalError as error:
            result = msgspec.structs.replace(result, failure=error.info)
        results.append(result)
    return results


__all__ = ["DIRECTORY_BUCKET", "SyncCounts", "SyncOptions", "sync", "sync_async"]
