"""Runs a sync as a job: first every transfer of the plan, and then, if all of that is sound, its deletions.

shards ─┬─▶ transfers ─▶ Runner ─▶ all done? none failed? nothing withheld? ─┬─▶ deletions ─▶ Runner
        ╰─▶ shards of deletions wait ─────────────────────────────────────────┴─▶ each fails with the reason
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing

from bulkhaul.disk.folder import DestinationTree
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.archives import Parks
from bulkhaul.jobs.comparing import root_of
from bulkhaul.jobs.folder.description import JobDescription, Plan, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.markers import Markers
from bulkhaul.jobs.places import Sides, sides_of
from bulkhaul.jobs.runner import Carry, Look, Pages, Runner
from bulkhaul.jobs.status import job_status
from bulkhaul.jobs.sync_deletions import SyncDeletions, source_is_empty
from bulkhaul.jobs.sync_plan import PlannedRow
from bulkhaul.model.errors import UsageError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, ReportRow
from bulkhaul.model.writing import DEFAULT_OPTIONS
from bulkhaul.policy.withholding import counts_as_failed


class SyncRun:
    """One run of a sync that is a job."""

    def __init__(
        self,
        engine: AsyncEngine,
        origin: AsyncEngine | None,
        folder: JobFolder,
        description: JobDescription,
        look: Look,
        restoring: Callable[[Carry, Parks], Carry],
        *,
        name: str,
    ) -> None:
        """Take the engines, the job, and what looks whether an object is there already.

        Args:
            origin: of the source, where that is another service.
            restoring: returns what has archived objects brought back before they are moved.
            name: of this run, which no other one has.
        """
        self._engine = engine
        self._origin = origin
        self._folder = folder
        self._description = description
        self._look = look
        self._restoring = restoring
        self._name = name

    async def rows(
        self, shards: AsyncGenerator[Shard, None], listed_now: Callable[[], bool]
    ) -> AsyncGenerator[ReportRow, None]:
        """Yield the report row of each row that this run does.

        Args:
            listed_now: asked when all shards were had: whether this run has listed both sides for all of them.

        Raises:
            DamagedJob: a file of the job cannot be right.
            TransferError: the work or the report cannot go on.
        """
        made = self._description
        sides = await sides_of(self._engine, self._origin or self._engine, made.source, made.destination)
        doomed: list[Shard] = []
        async with self._transfers(sides) as carry:
            archived = self._restoring(carry, lambda numbers: moved.park(numbers))
            transfers = _without_deletions(shards, doomed)
            moved: Runner = Runner(self._folder, transfers, archived, self._look, name=self._name)
            async with aclosing(moved.rows()) as rows:
                async for row in rows:
                    yield row
        done = await asyncio.to_thread(self._folder.done_numbers)
        doomed = [shard for shard in doomed if shard.number not in done]
        plans = await asyncio.to_thread(self._folder.plans)
        if not doomed or not plans or any(one.number not in done for one in plans[-1].shards if not one.deletes):
            return
        look = not listed_now()
        why = await self._withheld(plans, sides, look=look)
        markers = made.sync is not None and made.sync.dir_markers
        deletions = SyncDeletions(self._engine, sides, withheld=why, look=look, dir_markers=markers)
        removed = Runner(self._folder, _each(doomed), deletions.carry, self._look, name=self._name)
        async with aclosing(removed.rows()) as rows:
            async for row in rows:
                yield row

    async def _withheld(self, plans: Sequence[Plan], sides: Sides, *, look: bool) -> str:
        """Return why nothing may be deleted, empty if it may; every transfer of the last plan has ended.

        A plan has all rows that failed in the one before it: if none of it fails, none of any plan does.
        """
        if plans[0].totals.withheld:
            return plans[0].totals.withheld
        failed = await asyncio.to_thread(self._failed, plans[-1])
        if failed:
            return f"it was not deleted, because {failed} failed; it is when the failed ones have succeeded"
        options = self._description.sync
        assert options is not None
        if look and await source_is_empty(sides) and not options.max_delete:
            return "it was not deleted, because the source is empty by now"
        return ""

    def _failed(self, plan: Plan) -> int:
        failed = 0
        for shard in plan.shards:
            if not shard.deletes and (done := self._folder.done(shard)).counts.failed:
                failed += sum(counts_as_failed(row.reason, row.error) for row in self._folder.report(shard, done))
        return failed

    @contextlib.asynccontextmanager
    async def _transfers(self, sides: Sides) -> AsyncIterator[Carry]:
        engine, made = self._engine, self._description
        marking = made.sync is not None and made.sync.dir_markers and sides.action is not Action.COPY
        tree: DestinationTree | None = None
        if marking and sides.action is Action.DOWNLOAD:
            tree = await undisturbed(in_thread(DestinationTree, root_of(sides.destination), kept=1))
        markers = Markers(engine, sides.destination, made.options, tree)

        async def marked(pages: Pages) -> AsyncGenerator[Sequence[PlannedRow], None]:
            async for page in pages:
                yield await markers.made(page) if marking else page

        def carry(action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
            if action is Action.DOWNLOAD:
                return engine.download_rows(marked(pages), root_of(sides.destination), set_times=True)
            if action is Action.UPLOAD:
                return engine.upload_rows(marked(pages), made.options or DEFAULT_OPTIONS)
            return engine.copy_rows(pages, made.options, origin=self._origin, preserve=made.preserve)

        try:
            yield carry
        finally:
            if tree is not None:
                tree.close()


def begin_sync(folder: JobFolder, description: JobDescription) -> None:
    """Make a folder the job of a sync, or find that it is: the same call goes on with it; waits for the store.

    Raises:
        UsageError: it is another job, or is done: another sync is another job.
    """
    folder.create(description, again=True)
    if (status := job_status(folder)).complete:
        text = "the sync of this job has ended; name another folder for another sync"
        if not status.ok:
            text = "the sync of this job has ended with failures; `bulkhaul job run --retry-failed` tries again"
        raise UsageError(text, folder.name)


async def _without_deletions(shards: AsyncGenerator[Shard, None], doomed: list[Shard]) -> AsyncGenerator[Shard, None]:
    """Yield the shards of transfers, and keep those of deletions until all of them were had."""
    async with aclosing(shards):
        async for shard in shards:
            if shard.deletes:
                doomed.append(shard)
            else:
                yield shard


async def _each(shards: Sequence[Shard]) -> AsyncGenerator[Shard, None]:
    for shard in shards:
        yield shard
