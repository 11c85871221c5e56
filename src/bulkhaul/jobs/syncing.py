"""Makes a destination have what its source has: ``sync`` and ``sync_async``.

list both ─▶ merge_join ─▶ SyncPlan ─▶ rows ─▶ the engine ─▶ results
                              ╰─▶ what only the destination has ─▶ deleted, when all of that was sound
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Iterator, Sequence

import msgspec

from bulkhaul.disk.removal import Removal
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.archives import Clock, Ready, Transfer, restored
from bulkhaul.jobs.comparing import Comparing, comparing, root_of
from bulkhaul.jobs.markers import Markers
from bulkhaul.jobs.places import ObjectSide, Sides, source_among
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.sync_permissions import require_late_permissions
from bulkhaul.jobs.sync_plan import PlannedRow, SyncPlan, result_of
from bulkhaul.model.errors import LocalError, OtherError, TransferError, error_of
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.results import RowResult, TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.comparison import Entry
from bulkhaul.policy.costs import by_class
from bulkhaul.policy.plan_totals import Totals
from bulkhaul.policy.withholding import counts_as_failed


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
        self._action = Action.SKIP
        self._failed = 0
        tier = options.restore.tier if options.restore is not None else None
        relayed = origin is not engine
        self._totals = Totals(engine.settings, relayed=relayed, preserve=options.preserve, tier=tier)  # of a dry run

    async def run(self, source: str, destination: str) -> AsyncGenerator[RowResult, None]:
        options = self._options
        async with comparing(self._engine, self._origin, source, destination, options, self._counts) as compared:
            kept, stored = options.preserve, self._stored
            await require_late_permissions(
                self._engine, self._origin, compared.sides, options, preserve=kept, stored=stored
            )
            self._action = compared.sides.action
            async with contextlib.aclosing(self._transfers(compared)) as results:
                async for result in results:
                    self._failed += counts_as_failed(result.reason, result.failure)
                    yield result
            if options.delete:
                async with contextlib.aclosing(self._deletions(compared)) as deletions:
                    async for deleted in deletions:
                        yield self._told(deleted)

    # What is moved

    async def _transfers(self, compared: Comparing) -> AsyncGenerator[RowResult, None]:
        rows, options, counts = self._rows(compared), self._options, self._counts.restores
        sides = compared.sides
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
            results = self._engine.download_rows(rows, root_of(sides.destination), set_times=True)
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
        totals = self._totals
        async with contextlib.aclosing(pages):
            async for page in pages:
                totals.add(row for row in page if isinstance(row, Row))
                for row in page:
                    yield result_of(row) if isinstance(row, Row) else row
        requests = {f"{name}_requests": count for name, count in by_class(totals.requests).items()}
        routes = {f"{route}_bytes": count for route, count in totals.routes.items()}
        retrieved = {"retrieval_bytes": sum(totals.retrieval_bytes.values())} if totals.retrieval_bytes else {}
        self._counts.costs = requests | routes | retrieved

    async def _rows(self, compared: Comparing) -> AsyncGenerator[Sequence[PlannedRow], None]:
        markers = Markers(self._engine, compared.sides.destination, self._stored, compared.tree)
        marking = self._options.dir_markers and not self._options.dry_run
        async with contextlib.aclosing(compared.pages()) as pages:
            async for page in pages:
                made = await markers.made(page) if marking else page
                marked = (row for row, now in zip(page, made, strict=True) if now is not row)
                self._pending.update((row.n, row) for row in marked if isinstance(row, Row))
                yield made

    # What is deleted

    async def _deletions(self, compared: Comparing) -> AsyncGenerator[TransferResult, None]:
        plan, destination = compared.plan, compared.sides.destination
        if why := compared.withheld(failed=self._failed):
            raise OtherError(why, destination.place(""))
        if not plan.doomed.count:
            return
        if same := await source_among(compared.sides, plan.doomed.pages()):
            text = "nothing was deleted, because SRC seems to lie in DEST under another name: this would delete it"
            raise OtherError(text, same)
        results: AsyncGenerator[TransferResult, None]
        if self._options.dry_run:
            results = self._dry(self._doomed_rows(plan))
        elif isinstance(destination, ObjectSide):
            results = self._engine.delete_rows(self._doomed_rows(plan))
        else:
            results = self._removed_files(plan, root_of(destination))
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
        if row is None:  # nothing is to be done for it, or nothing can be
            return RowResult(**fields, action=Action.SKIP if result.skipped else self._action)
        return RowResult(**fields, action=row.action, reason=row.reason)


def _remove(removal: Removal, page: Sequence[Entry], rows: Sequence[Row]) -> list[TransferResult]:
    results = []
    for entry, row in zip(page, rows, strict=True):
        result = result_of(row)
        try:
            listed = SourceIdentity(entry.device, entry.inode, entry.size_bytes, entry.mtime_ns or 0)
            removal.remove(entry.path, listed, link=entry.link)
        except LocalError as error:
            result = msgspec.structs.replace(result, failure=error.info)
        results.append(result)
    return results


__all__ = ["SyncCounts", "SyncOptions", "sync", "sync_async"]
