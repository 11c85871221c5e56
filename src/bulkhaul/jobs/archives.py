"""Carries out rows of which some objects are archived: asks for those, waits, and hands each on when it is there.

    rows ─┬─ can be read ───────────────────────────────────────────▶ transfer ─▶ results
          ╰─ archived ─▶ WaitingRows ─▶ status ─▶ there ────────────────▲   │
                              ▲    ▲────── asked for, or coming ◀──╯        │
                              ╰──────── could not be read after all ◀───────╯

Nothing is kept but what the service knows: a run that was stopped is begun anew, and finds what has come meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Protocol

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.row_transfers import RowTransfers
from bulkhaul.engine.transfers.rows import PlannedRow, Refs, RowPages, failed_row, pages_of, result_of_row
from bulkhaul.jobs.restore_status import AT_ONCE, RestoreStatus, is_away
from bulkhaul.jobs.waiting_rows import Waiting, WaitingRows
from bulkhaul.model.archives import RestoreAnswer, RestoreCounts, RestoreOptions
from bulkhaul.model.errors import Archived, PreconditionFailed, TransferError, Unsupported
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.archives import (
    MOST_ASKED,
    MOST_VAIN,
    TIERING,
    Archival,
    Next,
    State,
    archival,
    in_moving_order,
    looked_at_first,
    next_of,
    pause_s,
    tier_refused,
)
from bulkhaul.policy.sameness import differ

PAGES_AHEAD = 2
"""Pages that wait for the transfer: each row that waits there may outlast its copy."""

_WENT = "its restored copy went before it was moved, twice; let copies stay longer: --restore-days"

Ready = AsyncGenerator[Sequence[PlannedRow], None]
Transfer = Callable[[Ready], AsyncGenerator[TransferResult, None]]
"""Moves rows, and yields one result a row; a result among the rows is handed on as it is."""

Parks = Callable[[Sequence[int]], None]
"""Takes the numbers of rows that wait, which may be for days."""


class Clock(Protocol):
    """Tells the time, and waits."""

    def now_s(self) -> float:
        """Return the time in seconds since the epoch."""
        ...

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait until an event is set, or so many seconds have passed; None for however many."""
        ...


class WallClock:
    """The clock of the machine."""

    def now_s(self) -> float:
        """Return the time in seconds since the epoch."""
        return time.time()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Wait until an event is set, or so many seconds have passed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()


async def restored(
    control: Control,
    rows: RowPages,
    transfer: Transfer,
    options: RestoreOptions,
    *,
    only: bool = False,
    counts: RestoreCounts | None = None,
    clock: Clock | None = None,
    parks: Parks | None = None,
) -> AsyncGenerator[TransferResult, None]:
    """Carry out rows; archived objects are brought back first, and hold up no others.

    Args:
        control: asks the service of the sources.
        rows: each has a number of its own. Rows that do not tell what a listing does are looked at first.
        only: objects that can be read as they are, are skipped.
        counts: is kept up to date.
        parks: is told of rows that wait for their objects.

    Yields:
        One result a row.

    Raises:
        Whatever ``rows`` and ``transfer`` raise, and TransferError where a listing fails that asks for statuses.
    """
    running = _Restoring(control, options, counts or RestoreCounts(), clock or WallClock(), parks, only=only)
    async with aclosing(running.results(rows, transfer)) as results:
        async for result in results:
            yield result


class _Restoring:
    """One run from its beginning to its end."""

    def __init__(
        self,
        control: Control,
        options: RestoreOptions,
        counts: RestoreCounts,
        clock: Clock,
        parks: Parks | None,
        *,
        only: bool,
    ) -> None:
        self._control = control
        self._options = options
        self._counts = counts
        self._clock = clock
        self._parks = parks
        self._only = only
        self._status = RestoreStatus(control)
        self._waiting = WaitingRows()
        self._refs = Refs()
        self._moving: dict[int, Waiting] = {}
        self._pages: asyncio.Queue[Sequence[PlannedRow] | Exception | None] = asyncio.Queue(PAGES_AHEAD)
        self._news = asyncio.Event()
        self._read_all = False
        self._vain = 0  # questions in a row that the service has not answered

    async def results(self, rows: RowPages, transfer: Transfer) -> AsyncGenerator[TransferResult, None]:
        tasks = [asyncio.create_task(self._reporting(work)) for work in (self._read(rows), self._watch())]
        try:
            async with aclosing(transfer(self._ready())) as results:
                async for result in results:
                    if (judged := self._judged(result)) is not None:
                        yield judged
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._waiting.close()

    async def _ready(self) -> Ready:
        while (page := await self._pages.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page

    async def _reporting(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - raised where pages are taken
            await self._pages.put(error)

    # Rows

    async def _read(self, rows: RowPages) -> None:
        async with aclosing(pages_of(rows)) as pages:
            async for page in pages:
                now, later = list[PlannedRow](), list[Waiting]()
                for row in page:
                    if isinstance(row, TransferResult) or row.action is Action.SKIP:
                        now.append(row)
                        continue
                    try:
                        ref = self._refs.ref(row.source)
                    except TransferError as error:
                        now.append(failed_row(row, error))
                        continue
                    waiting = Waiting(row, ref.bucket, ref.key)
                    told = bool(row.etag) and not (self._only and row.storage_class == TIERING)
                    if looked_at_first(row.storage_class, told=told):
                        later.append(waiting)
                    elif self._only:
                        now.append(_skipped(waiting))
                    else:
                        now.append(row)
                        self._moving[row.n] = waiting
                self._add(later)
                if now:
                    await self._pages.put(now)
        self._read_all = True
        self._news.set()

    def _add(self, rows: Sequence[Waiting]) -> None:
        if rows:
            self._waiting.add(rows)
            if self._parks is not None:
                self._parks([one.row.n for one in rows])
            self._counts.waiting = self._waiting.count
            self._news.set()

    def _judged(self, result: TransferResult) -> TransferResult | None:
        """Return a result, None for a row whose object could not be read: it waits now."""
        one = self._moving.pop(result.row, None)
        if not self._moving:
            self._news.set()
        if one is None or result.failure is None or result.failure.code != Archived.__name__:
            return result
        if one.refused:
            return _failed(one, Archived(_WENT, cause=result.failure.cause))
        self._counts.again += 1
        self._add([msgspec.structs.replace(one, refused=1)])
        return None

    # What waits

    async def _watch(self) -> None:
        rounds, due_s = 0, self._clock.now_s() + pause_s(0)
        while True:
            self._news.clear()
            if rows := self._waiting.due():
                await self._look_at(rows)
                continue
            if self._read_all and not self._waiting.count and not self._moving:
                break
            left_s = due_s - self._clock.now_s()
            if self._waiting.count and left_s <= 0:
                rounds += 1
                due_s = self._clock.now_s() + pause_s(rounds)
                self._waiting.next_round()
            else:
                await self._clock.wait(self._news, left_s if self._waiting.count else None)
        await self._pages.put(None)

    async def _look_at(self, rows: Sequence[Waiting]) -> None:
        """Hand on what is there, ask for what is not, and have the others wait."""
        patient = self._vain < MOST_VAIN
        try:
            told = await self._status.of(rows, now_s=self._clock.now_s(), away=patient)
        except TransferError as error:
            if not (patient and is_away(error)):
                raise
            # Objects take hours to come, so an outage is no reason to give them up: they are due as before.
            self._vain += 1
            await self._clock.wait(asyncio.Event(), pause_s(self._vain - 1))
            return
        self._vain = 0
        settled: list[_Settled] = []
        for start in range(0, len(rows), AT_ONCE):
            some = zip(rows[start : start + AT_ONCE], told[start : start + AT_ONCE], strict=True)
            settled += await asyncio.gather(*(self._settled(one, head) for one, head in some))
        self._waiting.give_back([one.waits for one in settled if one.waits is not None])
        ended = [(row, one) for row, one in zip(rows, settled, strict=True) if one.waits is None]
        self._waiting.remove([row for row, _ in ended])
        self._counts.waiting = self._waiting.count
        ready = [(one.found, place) for place, (_, one) in enumerate(ended) if one.ended is None]
        page: list[PlannedRow] = [one.ended for _, one in ended if one.ended is not None]
        for place in in_moving_order(ready):
            row = ended[place][0]
            page.append(row.row)
            self._moving[row.row.n] = row
        self._counts.ready += sum(found.state is not State.READABLE for found, _ in ready)
        if page:
            await self._pages.put(page)

    async def _settled(self, one: Waiting, told: ObjectHead | TransferError) -> _Settled:
        """Decide what becomes of a row, and make the request that it needs."""
        if isinstance(told, TransferError):
            return _Settled(ended=_failed(one, told))
        if one.row.etag and told.etag and differ(told.etag, one.row.etag):
            text = "the object is no longer the one that was planned"
            return _Settled(ended=_failed(one, PreconditionFailed(text)))
        now_s = self._clock.now_s()
        found = archival(told, now_s=now_s)
        step = next_of(found, now_s=now_s)
        if step is Next.MOVE and self._only and found.state is State.READABLE and not one.asked:
            return _Settled(ended=_skipped(one))
        if step is Next.MOVE:
            return _Settled(found)
        if step is Next.WAIT:
            return self._waits(one)
        try:
            answer = await self._ask(one, told)
        except Unsupported:
            return _Settled(Archival(State.READABLE))  # it left its archive meanwhile
        except TransferError as error:
            # A copy that is still there is worth the try.
            return _Settled(found) if step is Next.EXTEND else _Settled(ended=_failed(one, error))
        if answer is RestoreAnswer.EXTENDED:
            return _Settled(Archival(State.RESTORED, now_s + self._options.days * 86_400))
        return self._waits(one, begun=answer is RestoreAnswer.BEGUN)

    def _waits(self, one: Waiting, *, begun: bool = False) -> _Settled:
        self._counts.requested += not one.asked
        return _Settled(waits=msgspec.structs.replace(one, asked=one.asked + 1 if begun else max(1, one.asked)))

    async def _ask(self, one: Waiting, head: ObjectHead) -> RestoreAnswer:
        """Have an object brought back, or its copy kept longer.

        Raises:
            Archived: its copies go before it can be moved.
            TransferError: the service refused.
        """
        if one.asked >= MOST_ASKED:
            raise Archived(_WENT)
        if why := tier_refused(head.storage_class, self._options.tier):
            raise Archived(why)
        tiering = head.archive or head.storage_class == TIERING
        return await self._control.restore(
            ObjectRef(one.bucket, one.key),
            tier=self._options.tier,
            days=0 if tiering else self._options.days,
            version_id=one.row.version_id,
        )


class _Settled(msgspec.Struct, frozen=True):
    """What becomes of a row: it waits, it ended (``ended``: with this result), or it can be read."""

    found: Archival = Archival(State.READABLE)
    waits: Waiting | None = None
    ended: TransferResult | None = None


def _skipped(one: Waiting) -> TransferResult:
    return result_of_row(one.row, ObjectRef(one.bucket, one.key), skipped="it can be read as it is")


def _failed(one: Waiting, error: TransferError) -> TransferResult:
    result = result_of_row(one.row, ObjectRef(one.bucket, one.key))
    return msgspec.structs.replace(result, failure=error.named(one.row.source).info)


def only_restored(engine: RowTransfers) -> Transfer:
    """Return what moves nothing: the result of a row says that its object can be read.

    The engine counts the results, and ends the wait for them when it ends.
    """
    return lambda rows: engine.copy_rows(_ended(rows))


async def _ended(rows: Ready) -> Ready:
    async with aclosing(rows) as pages:
        async for page in pages:
            yield [result_of_row(row) if isinstance(row, Row) else row for row in page]


__all__ = ["Clock", "Transfer", "WallClock", "only_restored", "restored"]
