r"""Writes what was measured as CSV for programs and spreadsheets.

RFC 4180: a header, ``\r\n`` at the end of each record; UTF-8 without a mark. The order of columns is part of the
format: a new column comes last. What was not measured is an empty field; times are in the unit of their
names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from bulkhaul.benchmark.results import Latencies, Result
from bulkhaul.model.workloads import OPERATIONS
from bulkhaul.policy.object_sizes import CLASS_NAMES

_TIMES = tuple(name for name in Latencies.__struct_fields__ if name != "histogram")

OPERATION_COLUMNS = (
    "run", "operation", "size_class", "size_name", "done", "failed", "moved_bytes", "measured_s", "requests_per_s",
    "bytes_per_s", "steady", *(f"first_byte_{name}" for name in _TIMES), *(f"whole_{name}" for name in _TIMES),
)  # fmt: skip

WINDOW_COLUMNS = (
    "run", "at_s", "length_s", "steady", "failed", "p50_ms", "p99_ms", "cpu", "lag_ms", "in_flight", "waiting",
    *(f"done_{name}" for name in OPERATIONS), *(f"bytes_{name}" for name in OPERATIONS),
)  # fmt: skip


def csv_files(result: Result) -> dict[str, str]:
    """Return the files by their names: a record for each operation and class of sizes of each run, and each window."""
    return {
        "operations.csv": _written(OPERATION_COLUMNS, _operations(result)),
        "windows.csv": _written(WINDOW_COLUMNS, _windows(result)),
    }


def _operations(result: Result) -> Iterator[tuple[object, ...]]:
    for run in result.runs:
        length_s = run.steady.to_s - run.steady.from_s
        for one in run.measured:
            yield (
                run.number,
                one.operation,
                one.size_class,
                CLASS_NAMES[one.size_class],
                one.done,
                one.failed,
                one.moved_bytes,
                round(length_s, 6),
                round(one.done / length_s, 6) if length_s > 0 else None,
                round(one.moved_bytes / length_s, 3) if length_s > 0 else None,
                int(run.steady.reached),
                *_times(one.first_byte),
                *_times(one.whole),
            )


def _times(told: Latencies | None) -> tuple[object, ...]:
    return (None,) * len(_TIMES) if told is None else msgspec.structs.astuple(told)[: len(_TIMES)]


def _windows(result: Result) -> Iterator[tuple[object, ...]]:
    for run in result.runs:
        steady = run.steady
        for one in run.windows:
            within = steady.reached and steady.from_s <= one.at_s and one.at_s + one.length_s <= steady.to_s
            yield (
                run.number,
                one.at_s,
                one.length_s,
                int(within),
                one.failed,
                one.p50_ms,
                one.p99_ms,
                one.cpu,
                one.lag_ms,
                one.in_flight,
                one.waiting,
                *(one.done.get(name, 0) for name in OPERATIONS),
                *(one.moved_bytes.get(name, 0) for name in OPERATIONS),
            )


def _written(columns: tuple[str, ...], records: Iterable[tuple[object, ...]]) -> str:
    out = io.StringIO(newline="")
    told = csv.writer(out, lineterminator="\r\n")
    told.writerow(columns)
    told.writerows(records)
    return out.getvalue()
