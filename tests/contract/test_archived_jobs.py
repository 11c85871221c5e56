"""Jobs of archived objects: all of them are asked for at once, however many shards that is, and each moves when it can.

The clock is the fault server's.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from bulkhaul.jobs.describing import described
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.job import report_rows, run
from bulkhaul.jobs.planner import Planner
from bulkhaul.jobs.runner import MAX_OPEN
from bulkhaul.jobs.status import job_status
from bulkhaul.model.archives import RestoreCounts
from bulkhaul.model.rows import ReportRow, Row
from bulkhaul.model.settings import Settings
from bulkhaul.store.memory import MemoryStore
from tests.contract.test_restored_rows import BODY, STANDARD, MovedClock, asked, rows_of
from tests.engines import Rig, running_rig
from tests.faultserver.archives import HOUR_S
from tests.patience import PATIENCE_S
from tests.unit.jobs.folders import folder_in, given

SHARDS, ROWS = 6, 7


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """An engine in front of a fault server."""
    with running_rig(tmp_path, workers=1) as running:
        yield running


@pytest.fixture
def clock(rig: Rig) -> MovedClock:
    """A clock of the server's archives."""
    return MovedClock(rig.server.store.archives)


def planned(rig: Rig, classes: Sequence[str]) -> JobFolder:
    """Plan a job of six shards, whose objects have these storage classes in turn."""
    names = {f"{n:03}": one for n, one in zip(range(SHARDS * ROWS), itertools.cycle(classes), strict=False)}
    rows: list[Row] = rows_of(rig, names)
    folder = folder_in(MemoryStore())
    out = rig.folder / "out"
    folder.create(described("s3://bucket/", str(out), restore=STANDARD))

    async def plan() -> None:
        async with aclosing(Planner(folder, given(rows), Settings(), max_rows=ROWS).shards()) as shards:
            assert len([shard async for shard in shards]) == SHARDS > MAX_OPEN

    rig.engine.run(plan)
    return folder


def for_a_while(condition: Callable[[], bool]) -> Callable[[], bool]:
    """Return the condition; it does not hold any more when a test has waited too long."""
    end_s = time.monotonic() + PATIENCE_S
    return lambda: condition() and time.monotonic() < end_s


def carried_out(
    rig: Rig, folder: JobFolder, clock: MovedClock, counts: RestoreCounts
) -> Generator[ReportRow, None, None]:
    """Run the job, and yield its report rows as they come."""
    how = functools.partial(run, name=f"run {id(counts)}", counts=counts, clock=clock)
    yield from rig.engine.each(how(rig.engine.aio, folder))


def assert_adds_up(rig: Rig, folder: JobFolder) -> None:
    """Each row is reported once, as a success, and its file is there."""
    assert [row.n for row in sorted(report_rows(folder), key=lambda row: row.n)] == list(range(SHARDS * ROWS))
    status = job_status(folder)
    assert (status.succeeded, status.left, status.complete) == (SHARDS * ROWS, 0, True)
    assert {path.read_bytes() for path in (rig.folder / "out").iterdir()} == {BODY}


def test_every_shard_is_asked_for_before_any_comes(rig: Rig, clock: MovedClock) -> None:
    """Six shards wait together, and all of them are there within the hours that one of them takes."""
    folder, counts = planned(rig, ["GLACIER"]), RestoreCounts()
    clock.still = for_a_while(lambda: counts.waiting < SHARDS * ROWS and not counts.ready)
    began_s = clock.now_s()
    results = list(carried_out(rig, folder, clock, counts))
    assert {row.error for row in results} == {None}
    assert clock.now_s() - began_s <= 5 * HOUR_S + 1800
    assert len(asked(rig, "RestoreObject")) == SHARDS * ROWS == counts.requested
    assert_adds_up(rig, folder)


def test_what_is_ready_moves_while_others_wait(rig: Rig, clock: MovedClock) -> None:
    """In every shard there are objects of three kinds: those that can be read, and those of a faster archive, first."""
    folder, counts = planned(rig, ["STANDARD", "GLACIER", "DEEP_ARCHIVE"]), RestoreCounts()
    third = SHARDS * ROWS // 3
    ended: list[int] = []
    clock.still = for_a_while(lambda: len(ended) < third or counts.requested < 2 * third)
    for row in carried_out(rig, folder, clock, counts):
        ended.append(row.n % 3)  # noqa: PERF401 - the clock looks at it meanwhile
    assert ended == [0] * third + [1] * third + [2] * third
    assert_adds_up(rig, folder)


def test_a_stop_while_all_wait(rig: Rig, clock: MovedClock) -> None:
    """The next run, days later, asks for nothing again that is there, and reports each row once."""
    folder, counts = planned(rig, ["GLACIER", "DEEP_ARCHIVE"]), RestoreCounts()
    clock.still = for_a_while(lambda: counts.requested < SHARDS * ROWS)
    running = carried_out(rig, folder, clock, counts)
    first = next(running)
    running.close()
    assert not job_status(folder).complete
    rig.server.store.archives.advance(12 * HOUR_S)
    rest = list(carried_out(rig, folder, clock, RestoreCounts()))
    assert first.n not in {row.n for row in rest}
    assert len(asked(rig, "RestoreObject")) == SHARDS * ROWS
    assert_adds_up(rig, folder)
