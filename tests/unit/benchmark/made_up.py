"""Results of benchmarks that never ran: their numbers follow from a seed, and look like those of a store."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from bulkhaul.benchmark.latencies import histogram, latencies, record
from bulkhaul.benchmark.results import (
    FORMAT,
    ConnectionRate,
    FailureCount,
    Floors,
    Latencies,
    Limit,
    Measured,
    ProcessUse,
    Result,
    Run,
    Steady,
    Window,
)
from bulkhaul.model.limits import MIB
from bulkhaul.model.workloads import Operation, Workload

MEDIANS_MS: dict[Operation, float] = {"get": 18.0, "put": 45.0, "list": 30.0, "stat": 6.0, "delete": 9.0}


def made_latencies(median_ms: float, count: int, seed: int) -> Latencies:
    """Return latencies with a long tail."""
    counted = histogram()
    took_ns = np.random.default_rng(seed).lognormal(np.log(median_ms * 1e6), 0.5, count)
    took_ns[: count // 200] *= 8
    record(counted, took_ns.astype(np.int64))
    return latencies(counted)


def made_measured(operation: Operation, size_class: int, count: int, seed: int) -> Measured:
    """Return one operation on one class of sizes."""
    median_ms = MEDIANS_MS[operation] * 1.8**size_class
    return Measured(
        operation=operation,
        size_class=size_class,
        done=count,
        failed=3 * seed % 5,
        moved_bytes=count * (2000 << 4 * size_class) if operation in ("get", "put") else 0,
        whole=made_latencies(median_ms, count, seed),
        first_byte=made_latencies(median_ms / 2, count, seed) if operation == "get" else None,
    )


def made_windows(operations: Sequence[Operation], windows: int, seed: int, *, waiting: bool) -> tuple[Window, ...]:
    """Return one window a second, slower at the beginning."""
    rng = np.random.default_rng(seed)
    told = []
    for at in range(windows):
        warm = 1 - 0.6 * float(np.exp(-at / 4))
        done = {name: int(rng.normal(9000 / MEDIANS_MS[name], 12) * warm) for name in operations}
        p50_ms = float(rng.normal(20, 1)) / warm
        told.append(
            Window(
                at_s=float(at),
                length_s=1.0,
                done=done,
                moved_bytes={name: done[name] * 300_000 for name in operations if name in ("get", "put")},
                failed=int(rng.poisson(0.2)),
                p50_ms=p50_ms,
                p99_ms=p50_ms * float(rng.normal(6, 0.8)),
                cpu=float(rng.normal(1.4, 0.05)),
                lag_ms=float(rng.exponential(4)),
                in_flight=64,
                waiting=int(rng.poisson(3)) if waiting else 0,
            )
        )
    return tuple(told)


def made_run(
    number: int = 1,
    *,
    operations: Sequence[Operation] = ("get", "put"),
    classes: Sequence[int] = (1, 2, 3),
    windows: int = 60,
    connections: int = 64,
    count: int = 3000,
    reached: bool = True,
    interrupted: bool = False,
    waiting: bool = False,
    failures: Sequence[FailureCount] = (FailureCount("Throttled", 503, 12, "SlowDown: please reduce your rate"),),
) -> Run:
    """Return a run."""
    rng = np.random.default_rng(number)
    measured = tuple(
        made_measured(name, size_class, count, number)
        for name in operations
        for size_class in (classes if name in ("get", "put") else (0,))
    )
    from_s, to_s = (min(8.0, windows / 2), float(windows)) if reached else (0.0, float(windows))
    return Run(
        number=number,
        began="2026-03-01T12:00:00Z",
        seconds=float(windows),
        steady=Steady(from_s, to_s, reached),
        requests_per_s=sum(one.done for one in measured) / (to_s - from_s),
        bytes_per_s=sum(one.moved_bytes for one in measured) / (to_s - from_s),
        concurrency=connections,
        workers=2,
        measured=measured,
        windows=made_windows(operations, windows, number, waiting=waiting),
        failures=tuple(failures),
        connections=tuple(
            ConnectionRate(at % 2, at // 2, 800, int(rng.normal(180, 25)) * MIB, 55.0) for at in range(connections)
        ),
        processes=(ProcessUse("worker 1", 0.71, 9.2), ProcessUse("worker 2", 0.69, 11.8), ProcessUse("main", 0.02, 1)),
        retransmits=17,
        limit=Limit(
            "first byte",
            "limited by the store's time to first byte: 88 % of the time of a request is waiting for it; more"
            " connections would help up to about 300",
            {
                "waiting for a connection": 0.02 if waiting else 0.0,
                "waiting for the first byte": 0.86 if waiting else 0.88,
                "receiving or sending the body": 0.12,
                "writing to the disk": 0.0,
            },
        ),
        interrupted=interrupted,
    )


def made_result(*runs: Run, open_loop: bool = False, name: str = "mixed", text: str = "") -> Result:
    """Return a result; ``text`` stands wherever somebody else's words can."""
    return Result(
        format=FORMAT,
        version="1.2.3",
        name=text or name,
        endpoint=text or "https://s3.eu-central-1.example.com",
        url=f"s3://bucket/benchmarks/{text}",
        open_loop=open_loop,
        workload=Workload(
            mix={"get": 70.0, "put": 30.0},
            size=text or "lognormal:1MiB,σ=1.5",
            objects=1200,
            prefixes=4,
            range=text,
            rate=500.0 if open_loop else 0.0,
            repeat=len(runs),
        ),
        settings={text or "transport": text or "lanes", "tls": "1.3, verified"},
        machine={text or "cpu": text or "Example CPU at 2.4 GHz", "cores": "8", "memory": "31.2 GiB"},
        floors=Floors(4.1, 7.9, 52.0 * MIB, 1180.0 * MIB, 16),
        runs=runs,
    )


def small_run(number: int = 1, **changes: object) -> Run:
    """Return a run that is read and drawn quickly, with some of its fields changed."""
    run = made_run(number, operations=("get",), classes=(2,), windows=5, connections=4, count=200)
    return msgspec.structs.replace(run, **changes)
