"""A benchmark names what limits it: each limit is made, one after the other, and nothing else is in the way."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from bench.distant_server.launch import distant_server

from bulkhaul import AsyncEngine
from bulkhaul.benchmark.place import make_place
from bulkhaul.benchmark.results import RESULTS, Run
from bulkhaul.benchmark.running import Benchmark
from bulkhaul.benchmark.workload import table_of
from bulkhaul.model.workloads import Operation, Workload
from bulkhaul.testing.faultserver.faults import Exchange, Fault, Request
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.on_service import Status
from tests.faultserver.server import FaultServer
from tests.integration.benchmark.measuring import measured
from tests.integration.command import environment

pytestmark = pytest.mark.usefixtures("real_workers", "first_in_line")


def run_of(endpoint: str, **fields: object) -> Run:
    """Return a run of GETs."""
    workload = Workload(**{"mix": {"get": 1}, "duration_s": 5, **fields})  # type: ignore[arg-type]
    (found,) = measured(endpoint, workload).runs
    return found


def test_the_latency_of_the_store() -> None:
    """Nearly all of the time is spent waiting, as long as over an idle connection."""
    with distant_server(["--keep", "--latency-ms", "60", "--rate", "60"]) as server:
        run = run_of(server.endpoint, size="4KiB", objects=32, concurrency=8)
    assert run.limit.name == "first byte", run.limit
    assert run.limit.shares["waiting for the first byte"] > 0.9


def test_the_rate_of_a_connection() -> None:
    """Two connections bring 10 MB/s each, as one alone does."""
    with distant_server(["--keep", "--latency-ms", "5", "--rate", "10"]) as server:
        run = run_of(server.endpoint, size="4MiB", objects=4, concurrency=2)
    assert run.limit.name == "connection rate", run.limit
    assert run.limit.shares["receiving or sending the body"] > 0.9
    assert run.bytes_per_s == pytest.approx(2 * 10e6, rel=0.1)


def test_the_rate_that_was_asked_for() -> None:
    """Of a rate that the store holds there is nothing more to say."""
    with distant_server(["--keep", "--latency-ms", "5", "--rate", "60"]) as server:
        run = run_of(server.endpoint, size="4KiB", objects=32, rate=20.0)
    assert run.limit.name == "rate asked for", run.limit
    assert run.requests_per_s == pytest.approx(20, rel=0.4)


@contextmanager
def slow_reader(path: Path, bytes_per_s: float) -> Iterator[None]:
    """Read a FIFO that slowly."""
    os.mkfifo(path)
    fd = os.open(path, os.O_RDWR)
    over = threading.Event()

    def read() -> None:
        due_s = time.monotonic()
        while not over.is_set():
            due_s = max(due_s, time.monotonic() - 0.5)  # what a busy machine delays is made up for
            due_s += len(os.read(fd, 64 * 1024)) / bytes_per_s
            time.sleep(max(0.0, due_s - time.monotonic()))

    thread = threading.Thread(target=read)
    thread.start()
    yield
    over.set()
    os.set_blocking(fd, False)
    os.write(fd, b"1")
    thread.join()
    os.close(fd)


def test_a_slow_disk(tmp_path: Path) -> None:
    """Bodies go to a sink that takes 5 MB/s."""
    with (
        slow_reader(tmp_path / "sink", 5e6),
        distant_server(["--keep", "--latency-ms", "5", "--rate", "60"]) as server,
    ):
        run = run_of(server.endpoint, size="256KiB", objects=16, concurrency=4, folder=str(tmp_path / "sink"))
    assert run.limit.name == "disk", run.limit
    assert run.bytes_per_s == pytest.approx(5e6, rel=0.3)


@dataclass(frozen=True, kw_only=True)
class Refusing(Status):
    """Refuses requests for load, but for one of so many."""

    code: str = "SlowDown"
    attempt: int | Literal["every"] = "every"
    but_one_of: int

    def before(self, exchange: Exchange) -> Reply | None:
        """Answer with the error document, instead of the operation."""
        return super().before(exchange) if exchange.request.index % self.but_one_of else None


@pytest.mark.parametrize("but_one_of", [2, 10])
def test_a_store_that_refuses_requests_for_load(but_one_of: int) -> None:
    """Half, or nine of ten, are answered by 503 SlowDown: the sentence says so, and counts are those of the server."""
    mix: dict[Operation, float] = {"get": 1, "put": 1}
    workload = Workload(mix=mix, size="4KiB", objects=32, concurrency=8, duration_s=2)
    with FaultServer(buckets=["bench"]) as server:
        run, asked = asyncio.run(_refused_run(server, workload, Refusing(operation=None, but_one_of=but_one_of)))
    refused = [request for request in asked if request.status == 503]
    (failure,) = run.failures
    assert (failure.code, failure.status, failure.count) == ("SlowDown", 503, len(refused))
    answered = Counter(request.operation for request in asked if request.status == 200)
    assert sum(window.done.get("get", 0) for window in run.windows) == answered["GetObject"]
    assert sum(window.done.get("put", 0) for window in run.windows) == answered["PutObject"]
    assert run.limit.name == "throttling"
    found = re.fullmatch(
        r"limited by the store, which refuses (\d+) % of the requests with 503 SlowDown; .*", run.limit.sentence
    )
    assert found, run.limit.sentence
    assert int(found[1]) == pytest.approx(100 * len(refused) / len(asked), abs=2)


async def _refused_run(server: FaultServer, workload: Workload, fault: Fault) -> tuple[Run, Sequence[Request]]:
    """Return a run within which the server misbehaves, and what it was asked for meanwhile."""
    async with AsyncEngine(endpoint_url=server.endpoint_url, region="us-east-1") as engine:
        record = await make_place(engine, "bench", "", table_of(workload), workload.size, prepared=False)
        benchmark = Benchmark(engine, record, workload)
        await benchmark.fill()
        before = len(server.requests)
        with server.misbehaving(fault):
            run = await benchmark.run(1)
        return run, server.requests[before:]


def test_the_cpu_of_the_client(tmp_path: Path) -> None:
    """One core for all of the client, another one for a server without latency."""
    cores = sorted(os.sched_getaffinity(0))
    with distant_server(["--keep", "--latency-ms", "0", "--rate", "6000"]) as server:
        os.sched_setaffinity(server.process_id, {cores[-1]})
        words = ["bench", "run", "get", "s3://bench/", "--size", "1KiB", "--objects", "64", "--concurrency", "64"]
        words += ["--duration", "5s", "--out", str(tmp_path / "out"), "--quiet", "--endpoint-url", server.endpoint]
        done = subprocess.run(
            [sys.executable, "-c", PINNED, str(cores[0]), *words],
            env=environment(AWS_REGION="us-east-1", BULKHAUL_STATE_DIR=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode in (0, 3), done.stderr
    (run,) = RESULTS.decode((tmp_path / "out" / "result.json").read_bytes()).runs
    assert run.limit.name == "client CPU", run.limit
    assert re.search(r"its busiest process, worker \d+, took", run.limit.sentence)


PINNED = """
import contextlib, os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
with contextlib.suppress(PermissionError):
    os.nice(-20)  # or other tests would take some of the core that is to be full
from bulkhaul.cli.main import main
sys.argv = ["bulkhaul", *sys.argv[2:]]
main()
"""
