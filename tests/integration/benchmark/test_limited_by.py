"""A benchmark names what limits it: each limit is made, one after the other, and nothing else is in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bench.distant_server.launch import distant_server

from bulkhaul.benchmark.results import RESULTS, Run
from bulkhaul.model.workloads import Workload
from tests.integration.benchmark.measuring import measured
from tests.integration.command import environment


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
        while not over.is_set():
            time.sleep(len(os.read(fd, 64 * 1024)) / bytes_per_s)

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


PINNED = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
if os.geteuid() == 0:
    os.nice(-15)  # or other tests would take the core that is to be full
from bulkhaul.cli.main import main
sys.argv = ["bulkhaul", *sys.argv[2:]]
main()
"""
