"""Carries out the work on many objects side by side, and yields each result as it ends.

    pieces ─▶ slots (small, large) ─▶ work ─▶ results, as they end
    groups ─▶ slots ─────────────────▶ work ─▶ results, many at a time
                                        ╰─▶ what has to go on alone takes a slot as a piece does

A failure that holds for all that is left ends the run; ``policy/reach.py`` says which do.
Memory is bounded by the slots, whatever the number of objects (I7).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Protocol

import msgspec

from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.pool.ceiling import ceiling_for
from bulkhaul.engine.transfers.plan_ahead import read_ahead
from bulkhaul.engine.transfers.result import failed_with
from bulkhaul.model.errors import ErrorInfo, TransferError, error_of
from bulkhaul.model.limits import MIB
from bulkhaul.model.open_files import descriptors
from bulkhaul.model.results import Progress, TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, Settings
from bulkhaul.policy.crew import SMALL_PART_DEPTH
from bulkhaul.policy.reach import ClosedPlaces, ends_run

SMALL_OBJECT_BYTES = MIB
"""Objects up to this size share many slots; larger ones share one for each request in flight."""

LEAST_OF_PARTS = 8
"""Objects in parts that may be under way however many parts each has: one ends or begins while others fill the window.
More would only each have many parts wait, which take memory, and be in pieces when a run is interrupted."""

MAX_SMALL_SLOTS = 512
"""Small objects under way at most."""

FILES_OF_OBJECT = 3
"""Files that an object under way keeps open at most: its own, its folder or its journal, and one for a moment."""

SPARE_FILES = 160
"""Files that are open beside those of objects, as far as half of all go: of the workers, and the folders of groups."""

MAX_WAITING = 512
"""Results that wait for the caller at most. With more, no further object is begun until the caller takes some."""

MAX_QUEUED = 512
"""Objects of groups that wait to go on alone at most; with more, no further group is begun until some of them are."""

GROUP_SLOTS = 32
"""Groups under way at most: enough that several hundred requests find work, few enough that memory holds them.
Each holds its folder, so that there are fewer where the limit of open files is low."""

Work = Callable[[], Coroutine[None, None, TransferResult]]


class Piece(msgspec.Struct, frozen=True):
    """One object of many, as it was planned.

    Attributes:
        result: what is known before the work: names and size; ``failure`` or ``skipped`` if there is nothing to do.
        work: does it; None if there is nothing to do.
    """

    result: TransferResult
    work: Work | None = None


class Outlet(Protocol):
    """Takes what becomes of the objects of a group, each once; they are named by their places in it."""

    def end(self, place: int, result: TransferResult) -> None:
        """Hand a result to the caller."""
        ...

    def alone(self, place: int, work: Work) -> None:
        """Have an object's own work done, as if it had been planned by itself."""
        ...


class Group(msgspec.Struct, frozen=True):
    """Objects of many that are worked on together.

    Attributes:
        results: what is known before the work.
        work: does it, and hands what becomes of each object to the outlet. If it raises, the others fail with that.
    """

    results: list[TransferResult]
    work: Callable[[Outlet], Coroutine[None, None, None]]


class Batch:
    """One run over many objects.

    Attributes:
        progress: what was planned so far, and how it ended.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Callable[[], AsyncGenerator[Piece | Group, None]],
        *,
        at_end: Callable[[], None] | None = None,
        many_buckets: bool = False,
        many_disks: bool = False,
    ) -> None:
        """Take what makes the plan, and what is called at the end to let go of all that the pieces of work share.

        Args:
            many_buckets, many_disks: there may be several; the end of one is not that of the run, and its others fail.
        """
        self._several = {"many_buckets": many_buckets, "many_disks": many_disks}
        self._over: TransferError | None = None  # what holds for all that is left
        self._closed = ClosedPlaces()
        self._plan = plan
        self._at_end = at_end
        self._counts = {"verified": 0, "failed": 0, "skipped": 0, "planned": 0, "bytes": 0}
        self._planned_all = False
        self._feeding: asyncio.Task[None] | None = None
        self._ended: deque[TransferResult] = deque()
        self._room = asyncio.Event()  # for results that the caller has not taken yet
        self._news = asyncio.Event()
        ceiling = ceiling_for(settings)
        self._settings = settings
        self._most_slots = max(1, ceiling // LEAST_OF_PARTS)  # of one object
        self._large = asyncio.Semaphore(ceiling)
        self._small = asyncio.Semaphore(min(MAX_SMALL_SLOTS, ceiling * SMALL_PART_DEPTH))
        self._files = asyncio.Semaphore(_objects_with_files())
        self._groups = asyncio.Semaphore(max(1, min(GROUP_SLOTS, descriptors() // 8)))
        self._queued = 0  # objects that go on alone and have no slot yet
        self._fewer = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not ended."""
        return self._feeding is not None and not self._feeding.done()

    @property
    def progress(self) -> Progress:
        """Return the counts so far, without ``received_bytes``: the engine knows that."""
        return Progress(
            planned_objects=self._counts["planned"],
            verified_objects=self._counts["verified"],
            failed_objects=self._counts["failed"],
            skipped_objects=self._counts["skipped"],
            planned_bytes=self._counts["bytes"],
            planning_done=self._planned_all,
        )

    async def planned(self) -> AsyncGenerator[TransferResult, None]:
        """Yield what would be done, and do nothing.

        Raises:
            TransferError: there is nothing to do, or the plan cannot be made.
        """
        async with aclosing(self._plan()) as pieces:
            async for piece in pieces:
                for result in piece.results if isinstance(piece, Group) else (piece.result,):
                    yield result

    async def run(self) -> AsyncGenerator[TransferResult, None]:
        """Yield each object's outcome as it ends; a failed one carries its error and the others go on.

        Raises:
            TransferError: the plan cannot be made any further, and what was under way has ended by then; or one object
                met what every other one would meet, such as a wrong secret: nothing more is tried, what was under way
                is cancelled, and what was done all the same is told before.
        """
        feeding = self._feeding = asyncio.create_task(self._feed())
        try:
            while (result := await self._next(feeding)) is not None:
                yield self._counted(result)
            if self._over is not None:
                await self.stop()
                while self._ended:
                    yield self._counted(self._ended.popleft())
                raise self._over
            await feeding  # raises what the plan raised
        finally:
            await self.stop()
            if self._at_end is not None:
                self._at_end()

    async def stop(self) -> None:
        """Cancel what is under way and wait until it has let go of everything. Safe to call twice."""
        if self._feeding is None:
            return
        self._feeding.cancel()
        for task in self._tasks:
            task.cancel()
        await outlast(self._feeding, *self._tasks)
        self._tasks.clear()  # one that was cancelled before its first step could not see to that
        self._news.set()
        if not self._feeding.cancelled():
            self._feeding.exception()  # else asyncio reports it, though the caller does not ask

    async def _next(self, feeding: asyncio.Task[None]) -> TransferResult | None:
        """Return the next result, None when there will be no more."""
        while not self._ended:
            if feeding.done() or self._over is not None:
                return None
            self._news.clear()
            await self._news.wait()
        result = self._ended.popleft()
        if len(self._ended) < MAX_WAITING:
            self._room.set()
        return result

    async def _end(self, result: TransferResult) -> None:
        """Hand a result to the caller; wait until there is room for it, as that bounds memory."""
        try:
            await self._have_room()
        finally:
            self._hand_over(result)  # what is done is done, also where nobody waits for room any more

    async def _have_room(self) -> None:
        while len(self._ended) >= MAX_WAITING:
            self._room.clear()
            await self._room.wait()

    def _hand_over(self, result: TransferResult) -> None:
        if result.failure is not None and not result.failure.again:
            result = self._judged(result, result.failure)
        if self._over is None or result.failure is None:
            self._ended.append(result)
        self._news.set()

    def _judged(self, result: TransferResult, failure: ErrorInfo) -> TransferResult:
        """Note what a failure means for the objects that are left; return its result, marked if it came before."""
        if ends_run(failure, **self._several):
            self._over = self._over or error_of(failure)
            return result
        judged = self._closed.judged(failure, result.source, result.destination)
        return result if judged is failure else msgspec.structs.replace(result, failure=judged)

    def _untried(self, planned: TransferResult) -> TransferResult | None:
        """Return the failure of an object whose place is known to fail all, None if it is to be tried."""
        failure = self._closed.untried(planned.source, planned.destination)
        return None if failure is None else msgspec.structs.replace(planned, failure=failure)

    async def _feed(self) -> None:
        try:
            async with aclosing(read_ahead(self._plan_to_its_end(), self._note)) as pieces:
                async for piece in pieces:
                    await self._begin(piece)
        finally:
            self._planned_all = True
            # Report the end of the plan only after all work that it has begun has ended.
            while self._tasks:
                done, _ = await asyncio.wait(set(self._tasks))
                self._tasks -= done
            self._news.set()  # no step comes between this and the end of the task

    async def _plan_to_its_end(self) -> AsyncGenerator[Piece | Group, None]:
        async with aclosing(self._plan()) as pieces:
            async for piece in pieces:
                yield piece
        self._planned_all = True

    def _note(self, piece: Piece | Group) -> int:
        """Count what is planned, and return how many objects that are."""
        results = piece.results if isinstance(piece, Group) else [piece.result]
        self._counts["planned"] += len(results)
        if isinstance(piece, Group) or piece.work is not None:
            self._counts["bytes"] += sum(result.size for result in results)
        return len(results)

    async def _begin(self, piece: Piece | Group) -> None:
        if isinstance(piece, Group):
            await self._groups.acquire()
            self._start(self._together(piece))
            return
        if piece.work is None:
            await self._end(piece.result)
            return
        slots = await self._slots_for(piece.result)
        self._start(self._one(piece.work, piece.result, slots))

    async def _slots_for(self, planned: TransferResult) -> list[asyncio.Semaphore]:
        """Wait until an object may begin; return what it has to release at its end.

        Only the planner may ask for several slots of a kind: two that did could wait for each other.
        """
        small = planned.size <= SMALL_OBJECT_BYTES
        slots = [self._small] if small else [self._large] * self._parts_of(planned.size)
        slots.append(self._files)
        for slot in slots:
            await slot.acquire()
        return slots

    def _parts_of(self, size_bytes: int) -> int:
        """Return how many slots an object takes that is not small: one for each part of one that is uploaded in parts.

        They are at most a share of all. Downloads go by the same threshold.
        """
        if size_bytes < self._settings.multipart_threshold_bytes:
            return 1
        part_bytes = self._settings.part_size_bytes or DEFAULT_PART_SIZE_BYTES
        return min(self._most_slots, -(-size_bytes // part_bytes))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(asyncio.create_task(work))

    async def _one(self, work: Work, planned: TransferResult, slots: list[asyncio.Semaphore]) -> None:
        try:
            result = self._untried(planned) or _of_row(planned, await work())
        except Exception as error:  # noqa: BLE001 - one object must not be lost from the count, whatever happens to it
            result = failed_with(planned, error)
        try:
            await self._end(result)  # it keeps its slots until there is room
        finally:
            for slot in slots:
                slot.release()
            self._ended_task()

    def _queue(self, work: Work, planned: TransferResult) -> None:
        self._queued += 1
        self._start(self._alone(work, planned))

    async def _alone(self, work: Work, planned: TransferResult) -> None:
        slots = await self._slots_for(planned)
        self._queued -= 1
        self._fewer.set()
        await self._one(work, planned, slots)

    async def _together(self, group: Group) -> None:
        outlet = _GroupOutlet(group.results, self._hand_over, self._queue)
        failure: Exception = AssertionError("nothing became of it")
        try:
            if not all(self._untried(planned) for planned in group.results):
                await group.work(outlet)
        except Exception as error:  # noqa: BLE001 - as for one object
            failure = error
        try:
            for planned in outlet.left():
                self._hand_over(self._untried(planned) or failed_with(planned, failure))
            await self._have_room()
            while self._queued > MAX_QUEUED:
                self._fewer.clear()
                await self._fewer.wait()
        finally:
            self._groups.release()
            self._ended_task()

    def _ended_task(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.discard(task)

    def _counted(self, result: TransferResult) -> TransferResult:
        kind = "failed" if result.failure else "skipped" if result.skipped else "verified"
        self._counts[kind] += 1
        return result


class _GroupOutlet:
    """The outlet of one group."""

    def __init__(
        self,
        results: list[TransferResult],
        hand_over: Callable[[TransferResult], None],
        begin: Callable[[Work, TransferResult], None],
    ) -> None:
        self._left: list[TransferResult | None] = list(results)
        self._hand_over = hand_over
        self._begin = begin

    def end(self, place: int, result: TransferResult) -> None:
        self._hand_over(_of_row(self._take(place), result))

    def alone(self, place: int, work: Work) -> None:
        self._begin(work, self._take(place))

    def left(self) -> list[TransferResult]:
        """Return what was planned of the objects of which nothing was told."""
        return [planned for planned in self._left if planned is not None]

    def _take(self, place: int) -> TransferResult:
        planned, self._left[place] = self._left[place], None
        assert planned is not None, "an object of a group ends once"
        return planned


def _of_row(planned: TransferResult, result: TransferResult) -> TransferResult:
    """Return a result that names the row of a plan that its object was planned by."""
    return result if result.row == planned.row else msgspec.structs.replace(result, row=planned.row)


def _objects_with_files() -> int:
    """Return how many objects may be under way for the limit of open files."""
    files = descriptors()
    return max(8, (files - min(SPARE_FILES, files // 2)) // FILES_OF_OBJECT)
