"""Runs the shards of a job through an engine, and writes what becomes of each row into its folder.

    shards ─▶ rows that have no report row yet ─▶ engine ─▶ results ─▶ report rows ─▶ segments, every few seconds
                                                                                       ╰─▶ done, when none is left

Whatever ends the program, the next run finds each row in at most one segment that counts, and does those that are in
none. They were under way, or ended in the last seconds, so each of them is harmless to repeat.
A row whose archived object is waited for is parked on disk. A shard of which no other row is left makes room for the
next one, so that all of a plan that has to be waited for is asked for first.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Final, TypeVar

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.jobs.folder.description import Claim, Done, Segment, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.parked_rows import ParkedRows
from bulkhaul.jobs.settled_rows import settled_row
from bulkhaul.jobs.tally import Tally
from bulkhaul.model.errors import OtherError, error_of
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.results import CheckedResult, TransferResult
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from bulkhaul.policy.links import link_path
from bulkhaul.policy.reach import ends_run

T = TypeVar("T")
Pages = AsyncIterable[Sequence[Row | TransferResult]]
Carry = Callable[[Action, Pages], AsyncGenerator[TransferResult, None]]
"""Does rows of one action, and yields one result a row; a result among the rows is handed on as it is."""
Look = Callable[[Row], Awaitable[TransferResult | None]]
"""Tells whether what a row would store is there already: its result, or None if the row has to be done."""

FLUSH_S: Final = 3.0
"""How long a row that has ended waits for its segment at most: what is repeated after a crash."""

MAX_OPEN: Final = 3
"""Shards with rows under way: while the last rows of one end, those of the next are moved."""

PAGE_ROWS: Final = MAX_DELETE_BATCH
"""Rows that the engine is given at once: as many as go into one request where they are deleted."""

LOOKS: Final = 32
"""Objects that are looked at side by side."""


class _OpenShard:
    """A shard under way.

    Attributes:
        left: rows without a report row, by their numbers, but for those that are parked.
        parked: how many are.
        there: numbers of rows whose object was found at its destination.
        tally: of all rows that have one.
        waiting: report rows that are in no segment yet.
        segments: those that are written.
        again: an earlier run may have done any row that is left.
    """

    def __init__(
        self, shard: Shard, left: Sequence[Row], found: Sequence[ReportRow], segments: list[Segment], attempt: int
    ) -> None:
        self.shard = shard
        self.left = {row.n: row for row in left}
        self.parked = 0
        self.there = set[int]()
        self.tally = Tally()
        self.waiting: list[ReportRow] = []
        self.segments = segments
        self.attempt = attempt
        self.again = attempt > 1
        self._next_segment = 0
        for row in found:
            self.tally.add(row)

    @property
    def complete(self) -> bool:
        """Whether every row has a report row."""
        return not self.left and not self.parked

    def add(self, row: ReportRow) -> None:
        """Take the report row of a row that was left, or parked."""
        if self.left.pop(row.n, None) is None:
            self.parked -= 1
        self.waiting.append(row)
        self.tally.add(row)

    def next_segment(self) -> int:
        """Return the number of a segment that is to be written."""
        self._next_segment += 1
        return self._next_segment - 1


class Runner:
    """One run of a job."""

    def __init__(
        self,
        folder: JobFolder,
        shards: AsyncGenerator[Shard, None],
        carry: Carry,
        look: Look,
        *,
        name: str,
        many_buckets: bool = False,
        now_s: Callable[[], float] = time.time,
        flush_s: float = FLUSH_S,
    ) -> None:
        """Take the job's folder, its shards in order, and what does the work.

        Args:
            name: of this run, which no other one has.
            many_buckets: a row may be done where the buckets of another one fail all.
            now_s: seconds since the epoch.
        """
        self._folder = folder
        self._shards = shards
        self._carry = carry
        self._look = look
        self._name = name
        self._many_buckets = many_buckets
        self._now_s = now_s
        self._flush_s = flush_s
        self._open: dict[int, _OpenShard] = {}
        self._idle: dict[int, _OpenShard] = {}  # all that is left of them is parked
        self._parked: ParkedRows | None = None
        self._freed = asyncio.Event()
        self._due = asyncio.Event()
        self._ending = False
        self._action = Action.SKIP
        self._writer: asyncio.Task[None] | None = None

    async def rows(self) -> AsyncGenerator[ReportRow, None]:
        """Yield the report row of each row that this run does; when this ends, however, all of them are durable.

        Raises:
            DamagedJob: a file of the job cannot be right.
            TransferError: the folder cannot be read or written, or the work cannot go on: a row has met what every
                other one would meet.
        """
        self._writer = asyncio.create_task(self._write())
        try:
            async with aclosing(self._results()) as results:
                async for result in results:
                    if (row := self._taken(result)) is not None:
                        yield row
        finally:
            self._ending = True
            self._due.set()
            try:
                await undisturbed(self._writer)
            finally:
                if self._parked is not None:
                    self._parked.close()

    def park(self, numbers: Collection[int]) -> None:
        """Keep rows on disk until their results come: their objects are waited for, and that may take days."""
        for opened in list(self._open.values()):
            rows = [opened.left.pop(n) for n in numbers if n in opened.left]
            if not rows:
                continue
            self._parked = self._parked or ParkedRows()
            self._parked.add(opened.shard.number, rows)
            opened.parked += len(rows)
            self._set_idle(opened)

    def _set_idle(self, opened: _OpenShard) -> None:
        """Make room for another shard if all that is left of this one is parked."""
        if not opened.left and opened.parked:
            self._idle[opened.shard.number] = self._open.pop(opened.shard.number)
            self._freed.set()

    # Rows to do

    async def _results(self) -> AsyncGenerator[TransferResult, None]:
        """Yield the results of all rows; each stretch of one plan and one action is a stream of the engine's."""
        async with aclosing(self._stretches()) as stretches:
            held = await anext(stretches, None)

            async def pages(plan: int, action: Action) -> AsyncGenerator[Sequence[Row | TransferResult], None]:
                nonlocal held
                while held is not None and held[:2] == (plan, action):
                    page, held = held[2], None
                    yield page
                    held = await anext(stretches, None)

            while held is not None:
                plan, action, _ = held
                carry = _handed_on if action is Action.SKIP else self._carry
                async with aclosing(carry(action, pages(plan, action))) as results:
                    async for result in results:
                        yield result

    async def _stretches(self) -> AsyncGenerator[tuple[int, Action, list[Row | TransferResult]], None]:
        done = await asyncio.to_thread(self._folder.done_numbers)
        async with aclosing(self._shards) as shards:
            async for shard in shards:
                if shard.number in done:
                    continue
                await self._room()
                opened = await asyncio.to_thread(self._opened, shard)
                self._open[shard.number] = opened
                if opened.complete:
                    self._due.set()
                for action, rows in groupby(list(opened.left.values()), key=self._goes_with):
                    for page in _pages(list(rows)):
                        yield shard.plan, action, await self._to_do(opened, page)

    def _goes_with(self, row: Row) -> Action:
        """Return the action of the stream that a row is part of: one that is skipped goes with those before it.

        Delete markers go with copies: they have their places among these.
        """
        if row.action is not Action.SKIP:
            self._action = Action.COPY if row.action is Action.MARK else row.action
        return self._action

    def _opened(self, shard: Shard) -> _OpenShard:
        """Read what is left of a shard, and begin an attempt at it."""
        planned = self._folder.rows(shard)
        attempt = self._folder.claim(shard.number, Claim(runner=self._name, began=self._now_s()))
        segments, found = self._folder.reported(shard, planned)
        left = [row for row in planned if row.n not in found]
        return _OpenShard(shard, left, list(found.values()), segments, attempt)

    async def _room(self) -> None:
        while len(self._open) >= MAX_OPEN:
            self._require_writer()
            self._freed.clear()
            await self._freed.wait()

    async def _to_do(self, opened: _OpenShard, page: Sequence[Row]) -> list[Row | TransferResult]:
        """Return a page with results in place of rows that cannot be done, or that need not be done again."""
        settled = [settled_row(row) for row in page]
        if not opened.again:
            return settled
        slots = asyncio.Semaphore(LOOKS)

        async def one(row: Row | TransferResult) -> Row | TransferResult:
            if isinstance(row, TransferResult) or row.action not in (Action.UPLOAD, Action.COPY):
                return row
            async with slots:
                found = await self._look(row)
            if found is None:
                return row
            opened.there.add(row.n)
            return found

        return list(await asyncio.gather(*map(one, settled)))

    # Report rows

    def _taken(self, result: TransferResult) -> ReportRow | None:
        """Return the report row of a result; None where the row was not done, because the engine ends."""
        self._require_writer()
        if result.failure is not None:
            if result.failure.code == "Cancelled":
                return None
            if ends_run(result.failure, many_buckets=self._many_buckets):
                raise error_of(result.failure)  # the next run does it, and what is left
        opened, planned = self._planned(result.row)
        row = self._report_row(opened, planned, result)
        opened.add(row)
        if opened.complete:
            self._due.set()
        elif opened.shard.number in self._open:
            self._set_idle(opened)
        return row

    def _planned(self, n: int) -> tuple[_OpenShard, Row]:
        for opened in self._open.values():
            if (row := opened.left.get(n)) is not None:
                return opened, row
        found = self._parked.take(n) if self._parked is not None else None
        if found is None:
            raise OtherError(f"the engine told twice of row {n}, or of one that it was not given")
        number, row = found
        return self._open.get(number) or self._idle[number], row

    def _report_row(self, opened: _OpenShard, planned: Row, result: TransferResult) -> ReportRow:
        is_there = planned.n in opened.there or _is_version_there(planned, result)
        skipped = "" if is_there else result.skipped
        status = Status.FAILED if result.failure else Status.SKIPPED if skipped else Status.SUCCEEDED
        there = "it was there already" if is_there else ""
        made_link = planned.action is Action.DOWNLOAD and result.destination == link_path(planned.destination)
        return ReportRow(
            n=planned.n,
            plan=opened.shard.plan,
            action=planned.action,
            source=planned.source,
            destination=result.destination if made_link else planned.destination,
            status=status,
            size=planned.size if result.failure or skipped else result.size,
            etag=result.etag,
            version_id=result.version_id,
            source_version_id=planned.version_id,
            older=planned.older,
            integrity=result.integrity,
            seconds=round(result.seconds, 6),
            ended=round(self._now_s(), 3),
            reason=skipped or there or planned.reason,
            error=result.failure,
            resumed_bytes=result.resumed_bytes,
            verdict=result.verdict if isinstance(result, CheckedResult) else None,
            evidence=result.evidence if isinstance(result, CheckedResult) else None,
        )

    def _require_writer(self) -> None:
        """Raise what kept report rows from being written: no row is begun any more."""
        if self._writer is not None and self._writer.done():
            self._writer.result()

    async def _write(self) -> None:
        """Write what waits every few seconds, and when a shard is complete, until the run ends."""
        try:
            while True:
                ending = self._ending
                self._due.clear()
                for opened in [*self._open.values(), *self._idle.values()]:
                    await self._flush(opened)
                if ending:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._flush_s):
                        await self._due.wait()
        finally:
            self._freed.set()

    async def _flush(self, opened: _OpenShard) -> None:
        if opened.waiting:
            rows, opened.waiting = opened.waiting, []
            number, segment = opened.shard.number, opened.next_segment()
            put = self._folder.put_segment
            opened.segments.append(await self._lasting(lambda: put(number, opened.attempt, segment, rows)))
        if opened.complete and not opened.waiting:
            await self._lasting(lambda: self._close(opened))
            (self._open if opened.shard.number in self._open else self._idle).pop(opened.shard.number)
            self._freed.set()

    def _close(self, opened: _OpenShard) -> None:
        tally = opened.tally
        done = Done(
            counts=tally.counts,
            segments=tuple(opened.segments),
            runner=self._name,
            began=tally.began,
            ended=tally.ended,
        )
        self._folder.put_done(opened.shard.number, done)

    async def _lasting(self, work: Callable[[], T]) -> T:
        """Do work in a thread, and wait for its end however often this task is cancelled: then the run is to end."""
        doing = asyncio.get_running_loop().run_in_executor(None, work)
        while not doing.done():
            try:
                await asyncio.wait([doing])
            except asyncio.CancelledError:
                self._ending = True
        return doing.result()


def _is_version_there(planned: Row, result: TransferResult) -> bool:
    """Whether the engine has found a version in its place, as it looks itself where all versions are copied."""
    return planned.older is not None and planned.action is not Action.SKIP and bool(result.skipped)


def _pages(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), PAGE_ROWS):
        yield rows[start : start + PAGE_ROWS]


async def _handed_on(_: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
    """Yield the results of rows that are skipped, where there is no stream that they could go with."""
    async for page in pages:
        for result in page:
            assert isinstance(result, TransferResult)
            yield result
