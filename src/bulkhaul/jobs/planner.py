"""Writes the plan of a job shard by shard, and goes on where an earlier planner ended.

    rows ─▶ shards, each immutable once written ─▶ yielded to whoever runs them ─▶ at the end the plan's totals

Two planners at once do no harm: of two shards of one number the first one counts, and the other planner goes on after
it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.jobs.folder.description import Plan, PlanTotals, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.row_sources import Begun, RowSource
from bulkhaul.model.archives import Tier
from bulkhaul.model.limits import GIB
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.policy.plan_totals import Totals

MAX_ROWS: Final = 10_000
"""Rows of a shard at most: some 10 MB of memory."""

FIRST_ROWS: Final = 1_000
"""Rows of the first shard: one page of a listing, so that its objects move while the next page is asked for."""

MAX_BYTES: Final = 64 * GIB
"""Bytes of a shard at most, but for its last row: at 1 GB/s it is complete after a minute."""


class Planner:
    """One plan of a job, from its first shard to its totals."""

    def __init__(
        self,
        folder: JobFolder,
        source: RowSource,
        settings: Settings,
        *,
        relayed: bool = False,
        preserve: Collection[Kept] = (),
        tier: Tier | None = None,
        plan: int = 0,
        first_shard: int = 0,
        max_rows: int = MAX_ROWS,
    ) -> None:
        """Take the folder, what the rows are made from, and where in the job the plan begins.

        Args:
            settings: decide how many requests an object takes.
            relayed: copies pass through this machine.
            preserve: what copies keep, which takes requests of its own.
            tier: by which archived objects are brought back.
            max_rows: of a shard.
        """
        self._folder = folder
        self._source = source
        self._settings = settings
        self._relayed = relayed
        self._preserve = preserve
        self._tier = tier
        self._plan = plan
        self._first_shard = first_shard
        self._max_rows = max_rows
        self._forget()

    async def shards(self) -> AsyncGenerator[Shard, None]:
        """Yield each shard when it is written, those of an earlier planner first; then the plan is whole.

        Raises:
            NotFound: a listing selects nothing.
            DamagedJob: an earlier shard cannot be right.
            TransferError: the rows cannot be had, or the folder refuses.
        """
        whole, told = False, 0
        while not whole:
            self._forget()
            if (plan := await self._made()) is not None:
                for shard in plan.shards[told:]:
                    yield shard
                return
            async with aclosing(self._existing()) as found:
                async for shard in found:
                    if shard.number >= self._first_shard + told:
                        told += 1
                        yield shard
            async with aclosing(self._further()) as written:
                async for shard_or_rival in written:
                    if shard_or_rival is None:
                        break
                    told += 1
                    yield shard_or_rival
                else:
                    whole = True
        totals = PlanTotals(
            rows=self._totals.rows,
            size_bytes=self._totals.size_bytes,
            requests=self._totals.requests,
            routes=self._totals.routes,
            archived_rows=self._totals.archived_rows,
            archived_bytes=self._totals.archived_bytes,
            retrieval_requests=self._totals.retrieval_requests,
            retrieval_bytes=self._totals.retrieval_bytes,
            unknown_sizes=self._totals.unknown_sizes,
            impossible=self._totals.impossible,
            unchanged=self._source.told.unchanged,
            withheld=self._source.told.withheld,
        )
        plan = Plan(plan=self._plan, totals=totals, shards=tuple(self._shards))
        await asyncio.to_thread(self._folder.put_plan, plan)

    def _forget(self) -> None:
        self._shards: list[Shard] = []
        self._totals = Totals(self._settings, relayed=self._relayed, preserve=self._preserve, tier=self._tier)
        self._last: Row | None = None
        self._anchor = ""
        self._ascending = True

    async def _made(self) -> Plan | None:
        """Return this plan if it is whole."""
        plans = await asyncio.to_thread(self._folder.plans)
        return plans[self._plan] if len(plans) > self._plan else None

    async def _existing(self) -> AsyncGenerator[Shard, None]:
        written = await asyncio.to_thread(self._folder.shards_written)
        for number in range(self._first_shard, written):
            shard, rows = await asyncio.to_thread(
                self._folder.found_shard, number, plan=self._plan, first=self._totals.rows
            )
            self._take(shard, rows)
            yield shard

    async def _further(self) -> AsyncGenerator[Shard | None, None]:
        """Yield shards as they are written; None when another planner has written the next one, or the whole plan."""
        seen = _Seen(self._folder, self._shards.copy())
        begun = Begun(
            rows=self._totals.rows, last=self._last, anchor=self._anchor, ascending=self._ascending, has=seen.has
        )
        waiting: list[Row] = []
        waiting_bytes = 0
        try:
            async with aclosing(self._source.rows(begun)) as pages:
                async for page in pages:
                    for row in page:
                        if waiting and (row.action is Action.DELETE) != (waiting[-1].action is Action.DELETE):
                            yield (shard := await self._write(waiting))
                            if shard is None:
                                return
                            waiting, waiting_bytes = [], 0
                        waiting.append(row)
                        waiting_bytes += row.size or 0
                        if len(waiting) >= self._most() or waiting_bytes >= MAX_BYTES:
                            yield (shard := await self._write(waiting))
                            if shard is None:
                                return
                            waiting, waiting_bytes = [], 0
            if waiting:
                yield await self._write(waiting)
        finally:
            seen.close()

    def _most(self) -> int:
        return self._max_rows if self._shards else min(FIRST_ROWS, self._max_rows)

    async def _write(self, planned: Sequence[Row]) -> Shard | None:
        if await self._made() is not None:
            return None
        first = self._totals.rows
        rows = [msgspec.structs.replace(row, n=first + place) for place, row in enumerate(planned)]
        number = self._first_shard + len(self._shards)
        shard = await asyncio.to_thread(self._folder.put_shard, number, rows, plan=self._plan)
        if shard is not None:
            self._take(shard, rows)
        return shard

    def _take(self, shard: Shard, rows: Sequence[Row]) -> None:
        self._shards.append(shard)
        self._totals.add(rows)
        self._anchor = rows[0].source if len(rows) > 1 else self._last.source if self._last is not None else ""
        for row in rows:
            self._ascending = self._ascending and (self._last is None or self._last.source < row.source)
            self._last = row


class _Seen:
    """Tells which sources are planned; asked for the first time, it reads all shards, and remembers them on disk."""

    def __init__(self, folder: JobFolder, shards: Sequence[Shard]) -> None:
        self._folder = folder
        self._shards = shards
        self._names: SeenNames | None = None

    def has(self, row: Row) -> bool:
        """Whether a row of the plan has this source, and is a deletion or none likewise."""
        if self._names is None:
            self._names = SeenNames()
            for shard in self._shards:
                for planned in self._folder.rows(shard):
                    self._names.earlier(_name(planned), "planned")
        return self._names.earlier(_name(row), "new") == "planned"

    def close(self) -> None:
        """Forget them."""
        if self._names is not None:
            self._names.close()


def _name(row: Row) -> str:
    version = "" if row.older is None else f"\0{row.version_id}"
    return f"-{row.source}" if row.action is Action.DELETE else f"+{row.source}{version}"
