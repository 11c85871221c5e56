"""The runner: whatever ends it, each row has exactly one report row in the end, and little is done twice."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given as cases
from hypothesis import settings as how
from hypothesis import strategies as st

from bulkhaul.jobs.folder.description import Plan, PlanTotals, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.job import report_rows
from bulkhaul.jobs.planner import Planner
from bulkhaul.jobs.runner import MAX_OPEN, Pages, Runner
from bulkhaul.jobs.status import job_status
from bulkhaul.model.errors import AccessDenied, DamagedJob, ErrorInfo, NetworkError, TransferError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, ReportRow, Row, Status
from bulkhaul.model.settings import Settings
from bulkhaul.store.memory import MemoryStore

from .folders import DESCRIPTION, MortalStore, folder_in, given, rows


class Engine:
    """Does rows in any order, some at a time, and remembers what it did.

    Attributes:
        done: how often it did each row.
        failing: rows that fail.
        streams: the action of each stream.
        park: is told of some of the rows, as if they waited for their objects, some of them twice.
    """

    def __init__(self, seed: int = 0) -> None:
        self.done = Counter[int]()
        self.failing = set[int]()
        self.streams: list[Action] = []
        self.at_once = 40
        self.park: Callable[[Sequence[int]], None] = lambda _: None
        self._random = random.Random(seed)

    async def carry(self, action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        """Do rows in any order, while further ones are asked for, as far as there is room."""
        self.streams.append(action)
        under_way: list[Row | TransferResult] = []
        room = asyncio.Semaphore(self.at_once)

        async def feed() -> None:
            async for page in pages:
                numbers = [row.n for row in page if isinstance(row, Row)]
                self.park(self._random.sample(numbers, len(numbers) // 2))
                for row in page:
                    await room.acquire()
                    under_way.append(row)
                self.park(numbers[::3])

        feeding = asyncio.create_task(feed())
        try:
            while under_way or not feeding.done():
                if under_way:
                    yield await self._end(under_way)
                    room.release()
                else:
                    await asyncio.sleep(0.0005)
            await feeding
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    async def _end(self, under_way: list[Row | TransferResult]) -> TransferResult:
        row = under_way.pop(self._random.randrange(len(under_way)))
        if not self._random.randrange(8):
            await asyncio.sleep(0.002)
        if isinstance(row, TransferResult):
            return row
        self.done[row.n] += 1
        failure = ErrorInfo("AccessDenied", "denied", row.source) if row.n in self.failing else None
        size_bytes = row.size or 0
        return TransferResult(
            source=row.source, destination="", bucket="", key="", row=row.n, size=size_bytes, failure=failure
        )


async def nothing_there(_: Row) -> None:
    """Find nothing."""
    return


def runner(folder: JobFolder, engine: Engine, planned: list[Row], *, max_rows: int = 6, name: str = "r") -> Runner:
    """Return a run of a job that plans these rows meanwhile."""
    planner = Planner(folder, given(planned), Settings(), max_rows=max_rows)
    made = Runner(folder, planner.shards(), engine.carry, nothing_there, name=name, flush_s=0.003)
    engine.park = made.park
    return made


def run(folder: JobFolder, engine: Engine, planned: list[Row], *, most: int | None = None) -> list[ReportRow]:
    """Run to the end, or leave after so many rows."""

    async def running() -> list[ReportRow]:
        found: list[ReportRow] = []
        async with aclosing(runner(folder, engine, planned).rows()) as reported:
            async for row in reported:
                found.append(row)
                if most is not None and len(found) >= most:
                    break
        return found

    return asyncio.run(running())


def assert_adds_up(folder: JobFolder, planned: list[Row], *, failed: int = 0) -> None:
    """Each planned row has one report row, and the status says the same."""
    reported = list(report_rows(folder))
    assert sorted(row.n for row in reported) == [row.n for row in planned]
    assert {row.n: row.source for row in reported} == {row.n: row.source for row in planned}
    status = job_status(folder)
    assert (status.planned_rows, status.left, status.failed) == (len(planned), 0, failed)
    assert status.succeeded + status.skipped == len(planned) - failed
    assert status.complete


@cases(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 30), st.booleans()), max_size=6), st.integers(0, 1000))
@how(max_examples=60, deadline=None)
def test_killed_at_any_moment(count: int, deaths: list[tuple[int, bool]], seed: int) -> None:
    """Killed before or after any write, and again: the next run ends with every row reported once, none missing."""
    store, engine, planned = MortalStore(), Engine(seed), rows(count)
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    for requests, last_one in deaths:
        store.requests, store.last_one = requests, last_one
        with contextlib.suppress(NetworkError):
            run(folder, engine, planned)
        store.requests = None
        durable = {row.n for row in report_rows(folder)} if folder.plans() else set()
        again = {row.n for row in run(folder, engine, planned, most=3)}
        assert not again & durable, "a row whose report row is durable is not done again"
    run(folder, engine, planned)
    assert_adds_up(folder, planned)
    assert set(engine.done) == {row.n for row in planned}


@cases(st.integers(1, 60), st.lists(st.integers(1, 20), max_size=4), st.integers(0, 1000))
@how(max_examples=40, deadline=None)
def test_paused_at_any_moment(count: int, pauses: list[int], seed: int) -> None:
    """A run that is left in peace has reported all that it was told of: no such row is done a second time."""
    engine, planned, told = Engine(seed), rows(count), Counter[int]()
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    for most in pauses:
        told.update(row.n for row in run(folder, engine, planned, most=most))
    told.update(row.n for row in run(folder, engine, planned))
    assert told == Counter(row.n for row in planned)
    assert_adds_up(folder, planned)


def test_a_second_run_does_nothing() -> None:
    """A job that is done is not touched: no row is done, and no file is written."""
    engine, planned, store = Engine(), rows(30), MemoryStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    engine.failing = {3, 17}
    run(folder, engine, planned)
    files = {info.key: store.get_bytes(info.key) for info in store.list()}
    assert run(folder, engine, planned) == []
    assert {info.key: store.get_bytes(info.key) for info in store.list()} == files
    assert set(engine.done.values()) == {1}
    assert_adds_up(folder, planned, failed=2)


def test_two_runs_at_once() -> None:
    """Two runs at once need no lock: each row may be done twice, and has one report row."""
    engine, planned = Engine(5), rows(60)
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)

    async def both() -> None:
        async def one(name: str) -> None:
            async with aclosing(runner(folder, engine, planned, name=name).rows()) as reported:
                async for _ in reported:
                    await asyncio.sleep(0)

        await asyncio.gather(one("one"), one("two"))

    asyncio.run(both())
    assert_adds_up(folder, planned)


def test_complete_shards_are_not_read() -> None:
    """A shard that is done costs nothing: not its rows and not its report are read."""
    engine, planned, store = Engine(), rows(30), MemoryStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    run(folder, engine, planned)
    (plan,) = folder.plans()
    for shard in plan.shards[:-1]:
        store.delete(f"jobs/one/plan/{shard.number:06d}.jsonl.gz")
    store.delete(f"jobs/one/done/{plan.shards[-1].number:06d}")

    async def shards() -> AsyncGenerator[Shard, None]:
        for shard in plan.shards:
            yield shard

    async def again() -> None:
        async for _ in Runner(folder, shards(), engine.carry, nothing_there, name="again").rows():
            raise AssertionError("the last shard has its report rows")

    asyncio.run(again())
    assert_adds_up(folder, planned)


def test_a_mixture_of_actions_keeps_its_order() -> None:
    """Deletions that come last in the plan begin when everything before them has ended."""
    engine = Engine()
    planned = (
        rows(9, action=Action.COPY) + rows(5, first=9, action=Action.SKIP) + rows(9, first=14, action=Action.DELETE)
    )
    folder = folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    told = run(folder, engine, planned)
    assert engine.streams == [Action.COPY, Action.DELETE]
    assert all(row.action is Action.DELETE for row in told[-9:])
    assert Counter(row.status for row in told) == {Status.SUCCEEDED: 18, Status.SKIPPED: 5}
    assert_adds_up(folder, planned)


def test_rows_that_are_all_skipped() -> None:
    """Where nothing is to be done, the engine is not asked for anything, and each row is accounted for."""
    engine, folder, planned = Engine(), folder_in(MemoryStore()), rows(20, action=Action.SKIP)
    folder.create(DESCRIPTION)
    assert {row.status for row in run(folder, engine, planned)} == {Status.SKIPPED}
    assert engine.streams == []
    assert_adds_up(folder, planned)


def test_rows_without_a_destination_fail_by_name() -> None:
    """A key that cannot be a file is reported as failed with the planner's reason, and never given to the engine."""
    planned = rows(3)
    planned[1] = Row(n=1, action=Action.DOWNLOAD, source="s3://bucket/a/../x", reason='it has a ".." segment')
    engine, folder = Engine(), folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    failed = [row for row in run(folder, engine, planned) if row.status is Status.FAILED]
    assert [(row.n, row.error and row.error.code) for row in failed] == [(1, "UnsafeKey")]
    assert failed[0].error is not None
    assert '".." segment' in failed[0].error.message
    assert 1 not in engine.done


def test_few_shards_are_open() -> None:
    """Rows of at most three shards are in memory, however slowly the first one ends."""
    planned, folder = rows(100), folder_in(MemoryStore())
    folder.create(DESCRIPTION)
    waiting = asyncio.Event()
    seen: list[int] = []

    async def carry(_: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        async def feed() -> None:
            async for page in pages:
                seen.extend(row.n for row in page if isinstance(row, Row))

        feeding = asyncio.create_task(feed())
        for _turn in range(100):
            await asyncio.sleep(0.002)
            if len(seen) >= MAX_OPEN * 6:
                break
        await asyncio.sleep(0.05)
        assert len(seen) == MAX_OPEN * 6, "the rows of three shards of six, the first of which has none done"
        n = 0
        while n < len(planned):
            if n < len(seen):
                yield TransferResult(source="", destination="", bucket="", key="", row=seen[n])
                n += 1
            else:
                await asyncio.sleep(0.001)
        await feeding
        waiting.set()

    async def running() -> None:
        planner = Planner(folder, given(planned), Settings(), max_rows=6)
        async for _ in Runner(folder, planner.shards(), carry, nothing_there, name="r", flush_s=0.003).rows():
            pass

    asyncio.run(running())
    assert waiting.is_set()
    assert_adds_up(folder, planned)


def test_only_rows_of_an_earlier_attempt_are_looked_at() -> None:
    """What an interrupted run may have stored is looked at first; a first run looks at nothing."""
    planned, engine = rows(12, action=Action.COPY), Engine()
    store = MortalStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    looked: list[int] = []

    async def look(row: Row) -> TransferResult | None:
        looked.append(row.n)
        if row.n % 2:
            return None
        return TransferResult(source="", destination="", bucket="", key="", etag='"there"', row=row.n, size=row.n)

    async def running() -> list[ReportRow]:
        planner = Planner(folder, given(planned), Settings(), max_rows=100)
        made = Runner(folder, planner.shards(), engine.carry, look, name="r", flush_s=10)
        return [row async for row in made.rows()]

    store.requests = 6
    with pytest.raises(NetworkError):
        asyncio.run(running())
    assert (looked, len(engine.done)) == ([], 12)
    store.requests = None
    told = asyncio.run(running())
    assert sorted(looked) == list(range(12))
    there = [row for row in told if row.reason == "it was there already"]
    assert sorted(row.n for row in there) == [0, 2, 4, 6, 8, 10]
    assert {(row.status, row.etag) for row in there} == {(Status.SUCCEEDED, '"there"')}
    assert all(engine.done[n] == 1 + n % 2 for n in range(12))


@pytest.mark.parametrize("error", [AccessDenied("denied"), NetworkError("no room")])
def test_a_report_that_cannot_be_written_ends_the_run(error: TransferError) -> None:
    """The run ends with the store's own error, claims nothing, and the next one does what is left."""
    engine, planned, store = Engine(), rows(30), MemoryStore()
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    refusing = True
    put = folder.put_segment

    def put_segment(*args: object, **named: object) -> object:
        if refusing:
            raise error
        return put(*args, **named)  # type: ignore[arg-type]

    folder.put_segment = put_segment  # type: ignore[method-assign, assignment]
    with pytest.raises(type(error)):
        run(folder, engine, planned)
    assert folder.done_numbers() == set()
    refusing = False
    run(folder, engine, planned)
    assert_adds_up(folder, planned)


def test_work_that_cannot_go_on_keeps_what_was_done() -> None:
    """Where the engine itself fails, the rows that had ended are in the report."""
    planned, folder = rows(10), folder_in(MemoryStore())
    folder.create(DESCRIPTION)

    async def carry(_: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        async for page in pages:
            for row in page[:3]:
                assert isinstance(row, Row)
                yield TransferResult(source="", destination="", bucket="", key="", row=row.n)
            raise AccessDenied("the folder refuses")

    async def running() -> None:
        planner = Planner(folder, given(planned), Settings())
        async for _ in Runner(folder, planner.shards(), carry, nothing_there, name="r", flush_s=10).rows():
            pass

    with pytest.raises(AccessDenied):
        asyncio.run(running())
    assert [row.n for row in folder.reported(folder.found_shard(0, plan=0, first=0)[0])[1].values()] == [0, 1, 2]


def test_a_cancelled_row_is_no_failed_one() -> None:
    """A row that ended because the engine was closed is left for the next run."""
    planned, folder = rows(4), folder_in(MemoryStore())
    folder.create(DESCRIPTION)

    async def carry(_: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        async for page in pages:
            for row in page:
                assert isinstance(row, Row)
                failure = ErrorInfo("Cancelled", "the engine was closed") if row.n == 2 else None
                yield TransferResult(source="", destination="", bucket="", key="", row=row.n, failure=failure)

    async def running() -> list[ReportRow]:
        planner = Planner(folder, given(planned), Settings())
        made = Runner(folder, planner.shards(), carry, nothing_there, name="r")
        return [row async for row in made.rows()]

    assert [row.n for row in asyncio.run(running())] == [0, 1, 3]
    assert folder.done_numbers() == set()
    assert job_status(folder).left == 1


def test_a_damaged_plan_ends_the_run() -> None:
    """A shard that is not the planned one is not run."""
    store, engine, planned = MemoryStore(), Engine(), rows(5)
    folder = folder_in(store)
    folder.create(DESCRIPTION)
    shard = folder.put_shard(0, planned, plan=0)
    assert shard is not None
    folder.put_plan(Plan(plan=0, totals=PlanTotals(rows=5), shards=(shard,)))
    other = folder_in(MemoryStore())
    other.put_shard(0, rows(5, action=Action.DELETE), plan=0)
    store.put_bytes("jobs/one/plan/000000.jsonl.gz", other._get("plan/000000.jsonl.gz"))
    with pytest.raises(DamagedJob):
        run(folder, engine, planned)
    assert not engine.done
