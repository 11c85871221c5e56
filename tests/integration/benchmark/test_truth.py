"""What a benchmark says of a server agrees with what the server is known to do, and has counted itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from bench.distant_server.connections import QUANTUM_BYTES
from bench.distant_server.launch import DistantServer, distant_server

from bulkhaul.benchmark.results import Latencies, Result
from bulkhaul.model.workloads import Operation, Workload
from tests.integration.benchmark.measuring import counted_run, measured, statistics

pytestmark = pytest.mark.usefixtures("real_workers", "first_in_line")

LATENCY_S = 0.03
RATE = 60e6
TOLERANCE = 0.05

KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[DistantServer]:
    """A server whose replies begin 30 ms after their requests, one in twenty 200 ms later; 60 MB/s a connection."""
    options = ["--keep", "--latency-ms", "30", "--rate", "60", "--late-share", "0.05", "--late", "0.2"]
    with distant_server(options) as running:
        yield running


@pytest.fixture(scope="module")
def punctual() -> Iterator[DistantServer]:
    """The same, and no reply is late."""
    with distant_server(["--keep", "--latency-ms", "30", "--rate", "60"]) as running:
        yield running


def first_byte(result: Result) -> Latencies:
    """Return the time to first byte of the GETs of the only run, which are of one size."""
    (found,) = [one.first_byte for one in result.runs[0].measured if one.operation == "get"]
    assert found is not None
    return found


def lateness_s(before: dict[str, float], after: dict[str, float]) -> float:
    """Return by how much replies began later than the server meant to: it shares the cores with the client."""
    return (after["late_s"] - before["late_s"]) / (after["requests"] - before["requests"])


def test_time_to_first_byte(server: DistantServer) -> None:
    """p50 is the latency, and p99 that of the replies that are late on purpose."""
    before = statistics(server.endpoint)
    workload = Workload(mix={"get": 1}, size="16KiB", objects=64, concurrency=16, duration_s=8)
    found = first_byte(measured(server.endpoint, workload))
    late_s = lateness_s(before, statistics(server.endpoint))
    assert found.p50_ms / 1000 == pytest.approx(LATENCY_S + late_s, rel=TOLERANCE, abs=0.001)
    assert found.p99_ms / 1000 == pytest.approx(LATENCY_S + 0.2 + late_s, rel=TOLERANCE)
    assert found.p90_ms / 1000 < LATENCY_S + 0.1, "only one in twenty is late"


def test_throughput(punctual: DistantServer) -> None:
    """A connection brings an object in its latency and its bytes at the connection's rate, of which a quantum is ahead.

    All connections begin at once and stay in step, so what a run counts may be four objects off: it must have many.
    """
    before = statistics(punctual.endpoint)
    workload = Workload(mix={"get": 1}, size="2MiB", objects=32, concurrency=4, duration_s=6)
    (run,) = measured(punctual.endpoint, workload).runs
    late_s = lateness_s(before, statistics(punctual.endpoint))
    expected = 4 * 2 * MIB / (LATENCY_S + late_s + (2 * MIB - QUANTUM_BYTES) / RATE)
    assert run.bytes_per_s == pytest.approx(expected, rel=TOLERANCE)
    assert run.requests_per_s == pytest.approx(expected / (2 * MIB), rel=TOLERANCE)


def test_open_loop_shows_what_a_slow_server_costs(punctual: DistantServer) -> None:
    """Four connections carry 133 requests a second; of 266 that are due, each waits longer than the one before it."""
    workload = Workload(mix={"get": 1}, size="1KiB", objects=16, concurrency=4, rate=4 * 2 / LATENCY_S, duration_s=6)
    result = measured(punctual.endpoint, workload)
    (run,) = result.runs
    assert result.open_loop
    first, last = run.windows[0], run.windows[5]
    assert last.p50_ms > 4 * first.p50_ms
    # After t seconds, the request that is answered was due at t/2: its latency is t - t/2.
    assert last.p50_ms / 1000 == pytest.approx(5.5 / 2, rel=0.2)
    assert run.windows[4].waiting > 100
    assert run.limit.name == "rate not held"
    assert run.seconds < 8, "what was never begun does not prolong it"
    assert run.never_begun == pytest.approx(6 * 4 / LATENCY_S, rel=0.2)
    closed = measured(punctual.endpoint, Workload(mix={"get": 1}, size="1KiB", objects=16, concurrency=4, duration_s=5))
    assert first_byte(closed).p99_ms < 1000, "a closed loop hides it, and says that it is one"
    assert not closed.open_loop


@pytest.mark.parametrize("operation", ["get", "put", "stat"])
def test_totals_are_those_of_the_server(punctual: DistantServer, operation: Operation) -> None:
    """Each request that the server has counted is in the windows, and each of its bytes."""
    workload = Workload(mix={operation: 1}, size="4KiB", objects=32, concurrency=8, duration_s=2)
    endpoint = punctual.endpoint
    run, before, after = counted_run(endpoint, workload, lambda: statistics(endpoint))
    done = sum(window.done[operation] for window in run.windows if window.done)
    assert done == after["requests"] - before["requests"] - 1, "all but the question for the statistics"
    assert sum(sum(window.moved_bytes.values()) for window in run.windows) == (
        4 * KIB * done if operation != "stat" else 0
    )
    assert not run.failures
