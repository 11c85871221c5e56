"""Reads from a run the values that runs are compared by: throughput, and times of each operation, of all sizes.

A metric is named for people, such as ``get, first byte, p99``; what ends in ``/s`` is better when it is more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from bulkhaul.benchmark.latencies import merged
from bulkhaul.benchmark.results import Latencies, Result, Run
from bulkhaul.model.workloads import OPERATIONS, Operation
from bulkhaul.policy.differences import blocks

THROUGHPUT = "throughput"


def unit_of(results: Sequence[Result]) -> str:
    """Return what throughput is counted in: bytes where any moved, else requests."""
    return "bytes/s" if any(run.bytes_per_s for result in results for run in result.runs) else "requests/s"


def values_of(run: Run, unit: str) -> dict[str, float]:
    """Return the value of each metric of a run that has one: throughput in a unit, times in ms."""
    values = {THROUGHPUT: run.bytes_per_s if unit == "bytes/s" else run.requests_per_s}
    for operation in OPERATIONS:
        measured = [one for one in run.measured if one.operation == operation]
        first = _together([one.first_byte for one in measured if one.first_byte is not None])
        whole = _together([one.whole for one in measured])
        for name, latencies in (("first byte", first), ("whole request", whole)):
            if latencies is not None:
                values[f"{operation}, {name}, p50"] = latencies.p50_ms
                values[f"{operation}, {name}, p99"] = latencies.p99_ms
    return {name: value for name, value in values.items() if value > 0}


def parts_of(run: Run, unit: str) -> dict[str, list[float]]:
    """Return the values of parts of a run, in place of repeats, of those metrics that its windows tell.

    Windows do not tell operations apart, so times are only had where there is one operation.
    """
    steady = run.steady
    windows = [
        one for one in run.windows if one.at_s >= steady.from_s - 1e-6 and one.at_s + one.length_s <= steady.to_s + 1e-6
    ]
    counted = [
        sum((one.moved_bytes if unit == "bytes/s" else one.done).values()) / one.length_s
        for one in windows
        if one.length_s > 0
    ]
    told = {THROUGHPUT: blocks(counted)}
    operations = {one.operation for one in run.measured if one.done}
    if len(operations) == 1:
        name = f"{next(iter(operations))}, whole request"
        told[f"{name}, p50"] = blocks([one.p50_ms for one in windows if one.p50_ms > 0])
        told[f"{name}, p99"] = blocks([one.p99_ms for one in windows if one.p99_ms > 0])
    return {name: parts for name, parts in told.items() if parts is not None and min(parts) > 0}


def mean_bytes(result: Result) -> dict[Operation, float]:
    """Return how many bytes a request of each operation moved in the mean."""
    done: defaultdict[Operation, int] = defaultdict(int)
    moved: defaultdict[Operation, int] = defaultdict(int)
    for run in result.runs:
        for one in run.measured:
            done[one.operation] += one.done
            moved[one.operation] += one.moved_bytes
    return {operation: moved[operation] / count for operation, count in done.items() if count}


def _together(several: Sequence[Latencies]) -> Latencies | None:
    """Return the latencies of all sizes; what has one size needs no histogram."""
    counted = [one for one in several if one.count]
    if len(counted) > 1:
        return merged(counted)
    return counted[0] if counted else None


__all__ = ["THROUGHPUT", "mean_bytes", "parts_of", "unit_of", "values_of"]
