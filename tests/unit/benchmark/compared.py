"""Makes results up, with the values that a test says."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from bulkhaul.benchmark.results import FORMAT, Latencies, Limit, Measured, Result, Run, Steady, Window
from bulkhaul.model.workloads import Operation, Workload


def latencies(p50_ms: float, p99_ms: float, *, count: int = 1000) -> Latencies:
    """Return latencies with two percentiles, and no histogram."""
    return Latencies(count, p50_ms, p50_ms, p99_ms, p99_ms, p99_ms, p99_ms, "")


def measured(operation: Operation, whole_ms: tuple[float, float], first_ms: tuple[float, float] | None) -> Measured:
    """Return what was measured of an operation on objects of 1 MiB."""
    first = latencies(*first_ms) if first_ms else None
    moved = 1000 << 20 if operation in ("get", "put") else 0
    return Measured(operation, 3, 1000, 0, moved, latencies(*whole_ms), first)


def run(
    number: int,
    bytes_per_s: float,
    of_operations: Sequence[Measured],
    windows: Sequence[Window] = (),
    *,
    reached: bool = True,
    interrupted: bool = False,
) -> Run:
    """Return a run of as many seconds as it has windows."""
    steady = Steady(0, max(len(windows), 1), reached)
    limit = Limit("unknown", "", {})
    rate = bytes_per_s / (1 << 20) or 1000.0
    head = (number, "2026-01-01T00:00:00Z", 60.0, steady, rate, bytes_per_s, 8, 2)
    return Run(*head, tuple(of_operations), tuple(windows), (), (), (), 0, limit, interrupted)


def result(runs: Sequence[Run], workload: Workload | None = None, **fields: object) -> Result:
    """Return a result of runs."""
    workload = workload or Workload(mix={"get": 1.0})
    made = Result(FORMAT, "1", "made up", "http://h", "s3://b/p/", False, workload, {}, {}, None, tuple(runs))
    return msgspec.structs.replace(made, **fields)


def window(at: int, bytes_per_s: float, p50_ms: float, p99_ms: float, length_s: float = 1.0) -> Window:
    """Return one window of GETs of 1 MiB."""
    moved = round(bytes_per_s * length_s)
    done: dict[Operation, int] = {"get": moved >> 20}
    return Window(at, length_s, done, {"get": moved}, 0, p50_ms, p99_ms, 1.0, 0.0, 8, 0)


def gets(repeats: int, chance: random.Random, *, noise: float = 0.04, slower: float = 0.0) -> Result:
    """Return a result of GETs whose metrics scatter from run to run, each by itself."""

    def drawn(value: float) -> float:
        return value * chance.lognormvariate(0, noise)

    return result(
        [
            run(
                number,
                drawn(1e9 * (1 - slower)),
                [measured("get", (drawn(20), drawn(60)), (drawn(8), drawn(30)))],
            )
            for number in range(1, repeats + 1)
        ]
    )
