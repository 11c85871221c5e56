"""An op-log that is run again against a server, and recorded as an op-log again."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bulkhaul.benchmark.op_log import Op, read, write
from bulkhaul.benchmark.op_log_recorded import recorded
from bulkhaul.benchmark.replay import Replay, replay_of
from bulkhaul.benchmark.spools import Spool
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.messages.load_run import LoadRun
from tests.engines import running_engine
from tests.faultserver import FaultServer

BEGIN_NS = 1_767_323_045_000_000_000
MS = 1_000_000
WORKERS = 2


def op(name: str, key: str, start_ms: int, size: int = 0) -> Op:
    """Return a request of a log."""
    start_ns = BEGIN_NS + start_ms * MS
    return Op(0, name, "c", 1, size, "http://h", key, "", start_ns, 0, 0, start_ns + MS)


LOG = [
    op("GET", "a", 0, 1000),
    op("PUT", "b", 100, 70_000),
    op("STAT", "c", 200),
    op("LIST", "", 300),
    op("GET", "b", 1000, 70_000),
    op("DELETE", "c", 1100),
]


async def put(engine: AsyncEngine, replay: Replay, schedules: tuple[bytes, ...], spools: list[Spool]) -> int:
    """Put schedules on the server; return the instant at which they began."""
    target = await engine.control.target("bucket")
    begins_ns = time.monotonic_ns() + 300 * MS
    loads = [
        LoadRun(
            target=target,
            bucket="bucket",
            prefix="p/",
            table=replay.table,
            work="replay",
            worker=worker,
            workers=WORKERS,
            weights=(0, 0, 0, 0, 0),
            lanes=4,
            rate=0,
            begins_ns=begins_ns,
            duration_ns=0,
            schedule_bytes=len(schedule),
        )
        for worker, schedule in enumerate(schedules)
    ]
    await engine.control.put_load(loads, [spool.fd for spool in spools])
    return begins_ns


def test_a_log_is_run_again_and_recorded(tmp_path: Path) -> None:
    """What must exist is stored first; then each request is due at its time, succeeds, and stands in a new log so."""
    write(tmp_path / "log.csv", LOG)
    replay = replay_of(tmp_path / "log.csv", workers=WORKERS, speed=2)
    with FaultServer(buckets=["bucket"]) as server, running_engine(server.endpoint_url) as engine:

        async def run() -> None:
            spools = [Spool(str(tmp_path), schedule) for schedule in replay.prepared]
            await put(engine.aio, replay, replay.prepared, spools)
            for spool in spools:
                spool.close()
            stored = {key: len(one.body) for key, one in server.store.in_bucket("bucket").items()}
            assert stored == {"p/table/0000000000": 1000, "p/table/0000000002": 0}
            spools = [Spool(str(tmp_path), schedule) for schedule in replay.schedules]
            begins_ns = await put(engine.aio, replay, replay.schedules, spools)
            place = {"lanes": 4, "table": replay.table, "prefix": "p/", "endpoint": server.endpoint_url}
            ops = recorded(spools, **place, offset_ns=BEGIN_NS - begins_ns)  # type: ignore[arg-type]
            await asyncio.to_thread(write, tmp_path / "again.csv.zst", ops)
            for spool in spools:
                spool.close()

        engine.run(run)
        left = set(server.store.in_bucket("bucket"))
    a, b, c = (f"p/table/{place:010d}" for place in range(3))
    found = sorted(read(tmp_path / "again.csv.zst"), key=lambda op: op.start_ns)
    told = [(op.op, op.file, op.size_bytes, op.error, (op.start_ns - BEGIN_NS) // MS) for op in found]
    assert told == [
        ("GET", a, 1000, "", 0),
        ("PUT", b, 70_000, "", 50),
        ("STAT", c, 0, "", 100),
        ("LIST", "p/", 0, "", 150),
        ("GET", b, 70_000, "", 500),
        ("DELETE", c, 0, "", 550),
    ]
    assert left == {a, b}
    assert all(op.start_ns <= op.first_byte_ns <= op.end_ns for op in found if op.op == "GET")
