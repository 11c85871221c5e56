"""Makes the tables of a report from a result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from bulkhaul.benchmark.latencies import merged
from bulkhaul.benchmark.report.content import Table, Tiles
from bulkhaul.benchmark.report.words import (
    counted,
    mebibytes,
    milliseconds,
    named,
    number,
    percent,
    seconds,
    shown,
    size_name,
    steady,
)
from bulkhaul.benchmark.results import ConnectionRate, FailureCount, Floors, Latencies, Measured, Result, Run
from bulkhaul.model.workloads import OPERATIONS
from bulkhaul.policy.sizes import format_size

SHOWN_FAILURES = 40
"""Kinds of failures shown at most, the most frequent ones."""


class Gathered(Measured, frozen=True):
    """One operation on one class of sizes, in all runs together.

    Attributes:
        seconds: that were measured, of all runs together.
    """

    seconds: float = 0.0


def gathered(runs: Sequence[Run]) -> list[Gathered]:
    """Return what was measured in all runs together; histograms merge exactly."""
    found: dict[tuple[int, int], list[Measured]] = {}
    for run in runs:
        for one in run.measured:
            found.setdefault((OPERATIONS.index(one.operation), one.size_class), []).append(one)
    measured_s = sum(run.steady.to_s - run.steady.from_s for run in runs)
    return [_together(parts, measured_s) for _, parts in sorted(found.items())]


def _together(parts: Sequence[Measured], measured_s: float) -> Gathered:
    first_bytes = [one.first_byte for one in parts if one.first_byte is not None]
    return Gathered(
        operation=parts[0].operation,
        size_class=parts[0].size_class,
        done=sum(one.done for one in parts),
        failed=sum(one.failed for one in parts),
        moved_bytes=sum(one.moved_bytes for one in parts),
        whole=merged(one.whole for one in parts),
        first_byte=merged(first_bytes) if first_bytes else None,
        seconds=measured_s,
    )


def tiles(result: Result, parts: Sequence[Gathered]) -> Tiles:
    """Return the numbers that are looked for first."""
    runs = result.runs
    note = f"median of {counted(len(runs), 'run')}" if len(runs) > 1 else "in its steady part"
    if len(runs) == 1 and (runs[0].steady.replayed or not runs[0].steady.reached):
        note = "in all of the run"
    told = [("requests a second", number(median(run.requests_per_s for run in runs)), note)]
    if any(run.bytes_per_s for run in runs):
        told.append(("MiB a second", mebibytes(median(run.bytes_per_s for run in runs)), note))
    first = [one.first_byte for one in parts if one.first_byte is not None]
    for title, several in (("first byte", first), ("whole request", [one.whole for one in parts])):
        together = merged(several)
        if together.count:
            tail = f"99 % within {milliseconds(together.p99_ms)}"
            told.append((f"{title}, median", milliseconds(together.p50_ms), tail))
    failed, done = sum(one.failed for one in parts), sum(one.done for one in parts)
    told.append(("failed", number(failed), percent(failed, failed + done)))
    return Tiles(tuple(told))


def runs_table(runs: Sequence[Run]) -> Table:
    """Return a row a run."""
    head = (
        "Run", "Steady part", "Requests/s", "MiB/s", "Median", "99 %", "In flight at most", "Failed", "Sent again",
        "Length", "Began (UTC)",
    )  # fmt: skip
    rows = [_run_row(run) for run in runs]
    if len(runs) > 1:
        empty = ("",) * 7
        requests, moved = (run.requests_per_s for run in runs), (run.bytes_per_s for run in runs)
        rows.append(("median", "", number(median(requests)), mebibytes(median(moved)), *empty))
    return Table("Each run, within its steady part", head, tuple(rows), frozenset({0, 1, 10}))


def _run_row(run: Run) -> tuple[str, ...]:
    whole = merged(one.whole for one in run.measured)
    return (
        f"{run.number}, interrupted" if run.interrupted else str(run.number),
        steady(run),
        number(run.requests_per_s),
        mebibytes(run.bytes_per_s),
        *_times(whole, "p50_ms", "p99_ms"),
        f"{number(run.concurrency)} by {counted(run.workers, 'process', 'processes')}",
        number(sum(one.failed for one in run.measured)),
        number(run.retransmits),
        seconds(run.seconds),
        shown(run.began, 40).replace("T", " ").partition(".")[0].removesuffix("Z").removesuffix("+00:00"),
    )


def operations_table(parts: Sequence[Gathered]) -> Table:
    """Return a row for each operation and class of sizes: how many, and how fast."""
    rows = [
        (
            one.operation.upper(),
            size_name(one),
            number(one.done),
            number(one.failed),
            number(one.done / one.seconds if one.seconds else 0.0),
            mebibytes(one.moved_bytes / one.seconds if one.seconds else 0.0) if one.moved_bytes else "–",
            format_size(one.moved_bytes / one.done) if one.moved_bytes and one.done else "–",
        )
        for one in parts
    ]
    head = ("Operation", "Size", "Done", "Failed", "Requests/s", "MiB/s", "Mean size")
    return Table("Requests by operation and size", head, tuple(rows), frozenset({0, 1}))


def latency_table(parts: Sequence[Gathered]) -> Table:
    """Return rows for each operation and class of sizes: first byte, and whole request."""
    rows = []
    for one in parts:
        several = (("first byte", one.first_byte), ("whole", one.whole))
        for name, told in several:
            if told is not None and told.count:
                times = _times(told, "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "mean_ms")
                rows.append((one.operation.upper(), size_name(one), name, *times, number(told.count)))
    head = ("Operation", "Size", "Until", "Median", "90 %", "99 %", "99.9 %", "Longest", "Mean", "Requests")
    return Table("Latency by operation and size", head, tuple(rows), frozenset({0, 1, 2}))


def _times(told: Latencies, *names: str) -> tuple[str, ...]:
    return tuple(milliseconds(getattr(told, name)) if told.count else "–" for name in names)


def connections_table(runs: Sequence[Run]) -> Table:
    """Return a row a run: how far its slowest and fastest connections lie apart."""
    rows = []
    for run in runs:
        rates, unit = connection_rates(run.connections)
        if rates:
            at = [rates[round(share * (len(rates) - 1))] for share in (0.0, 0.1, 0.5, 0.9, 1.0)]
            texts = [mebibytes(rate) if unit == "MiB/s" else number(rate) for rate in at]
            rows.append((str(run.number), number(len(rates)), unit, *texts))
    head = ("Run", "Connections", "Unit", "Slowest", "10 %", "Median", "90 %", "Fastest")
    return Table("Rates of connections while they had a request", head, tuple(rows), frozenset({0, 2}))


def connection_rates(connections: Iterable[ConnectionRate]) -> tuple[list[float], str]:
    """Return the rate of each connection while it had a request, the slowest first, and its unit.

    Bytes a second where bodies were moved, else requests a second; connections without a request have no rate.
    """
    busy = [one for one in connections if one.busy_s > 0]
    if any(one.moved_bytes for one in busy):
        return sorted(one.moved_bytes / one.busy_s for one in busy), "MiB/s"
    return sorted(one.requests / one.busy_s for one in busy), "requests/s"


def failures_table(runs: Sequence[Run]) -> Table:
    """Return a row for each kind of failure, the most frequent first."""
    found: dict[tuple[str, int], list[tuple[int, FailureCount]]] = {}
    for run in runs:
        for one in run.failures:
            found.setdefault((one.code, one.status), []).append((run.number, one))
    ranked = sorted(found.items(), key=lambda item: (-sum(one.count for _, one in item[1]), item[0]))
    rows = [
        (
            shown(code, 80),
            str(status) if status else "–",
            number(sum(one.count for _, one in several)),
            ", ".join(str(run) for run, _ in several[:20]),
            shown(several[0][1].message),
        )
        for (code, status), several in ranked[:SHOWN_FAILURES]
    ]
    if len(ranked) > SHOWN_FAILURES:
        rest = sum(one.count for _, several in ranked[SHOWN_FAILURES:] for _, one in several)
        rows.append((f"{len(ranked) - SHOWN_FAILURES} more kinds", "", number(rest), "", ""))
    head = ("Failure", "Status", "Requests", "Runs", "Message of the first")
    return Table("Failures, the whole runs over", head, tuple(rows), frozenset({0, 1, 3, 4}))


def processes_table(runs: Sequence[Run]) -> Table:
    """Return a row for each process of the client."""
    rows = [
        (
            f"{run.number}",
            shown(one.name, 80),
            f"{100 * one.cpu:.0f} %",
            f"{100 * one.starved:.0f} %",
            milliseconds(one.lag_ms) if one.lag_ms else "–",
        )
        for run in runs
        for one in run.processes
    ]
    head = ("Run", "Process", "CPU, of a core", "Ready, without a CPU", "Longest delay of its event loop")
    return Table("The client's processes, within the steady part", head, tuple(rows), frozenset({0, 1}))


def floors_table(floors: Floors, result: Result) -> Table:
    """Return what the endpoint and disk gave to raw sockets and writes, beside what the runs had."""
    rates = [run.bytes_per_s for run in result.runs]
    whole = f"{mebibytes(median(rates))} MiB/s" if any(rates) else "–"
    firsts = [one.first_byte for run in result.runs for one in run.measured if one.first_byte is not None]
    first = milliseconds(merged(firsts).p50_ms) if firsts else "–"
    lanes = [rate for run in result.runs for rate in _byte_rates(run)]
    lane = f"{mebibytes(median(lanes))} MiB/s" if lanes else "–"

    def rate(bytes_per_s: float) -> str:
        return f"{mebibytes(bytes_per_s)} MiB/s" if bytes_per_s else "–"

    rows = [
        ("A new connection (TCP, TLS)", milliseconds(floors.connect_ms), "–"),
        ("First byte of a GET, one idle connection", milliseconds(floors.first_byte_ms), first),
        ("One connection alone", rate(floors.connection_bytes_per_s), lane),
        (f"{floors.sockets} connections at once", rate(floors.sockets_bytes_per_s), whole),
    ]
    if floors.disk_bytes_per_s:
        rows.append(("Writes to the disk", rate(floors.disk_bytes_per_s), whole))
    head = ("What", "Raw sockets and writes", "The runs, median")
    return Table("What is possible here, and what the runs had", head, tuple(rows))


def _byte_rates(run: Run) -> list[float]:
    rates, unit = connection_rates(run.connections)
    return rates if unit == "MiB/s" else []


def workload_table(result: Result) -> Table:
    """Return what was asked for."""
    asked = result.workload
    mix = ", ".join(f"{name.upper()} {percent(weight, sum(asked.mix.values()))}" for name, weight in asked.mix.items())
    rows = [
        ("Operations", mix),
        ("Sizes", shown(asked.size)),
        ("Objects", f"{number(asked.objects)} below {counted(asked.prefixes, 'prefix', 'prefixes')}"),
        ("Order of reads", asked.order),
        ("Reads", f"ranges of {shown(asked.range)}" if asked.range else "whole objects"),
        ("Data", f"compressible by {asked.compressible:g}" if asked.compressible > 1 else "noise"),
        ("Length of a run", seconds(asked.duration_s)),
        ("Requests in flight at most", number(asked.concurrency) if asked.concurrency else _chosen(result.runs)),
        ("Rate", f"{number(asked.rate)} requests a second" if asked.rate else "as fast as replies come"),
        ("Runs", number(asked.repeat)),
        ("Seed", str(asked.seed)),
        ("Bodies of GETs", f"written to {shown(asked.folder)}" if asked.folder else "thrown away"),
    ]
    return Table("What was asked for", ("Setting", "Value"), tuple(rows), frozenset({0, 1}))


def _chosen(runs: Sequence[Run]) -> str:
    """Say how many requests were in flight at most where nobody said how many."""
    numbers = ", ".join(number(one) for one in sorted({run.concurrency for run in runs}))
    return f"{numbers}, chosen by the program" if numbers else "chosen by the program"


def fields_table(caption: str, fields: dict[str, str]) -> Table:
    """Return a row for each field from outside."""
    rows = tuple((shown(name, 80), shown(value)) for name, value in fields.items() if value)
    return Table(caption, ("Name", "Value"), rows, frozenset({0, 1}))


def shares_table(runs: Sequence[Run]) -> Table:
    """Return a row a run: what took which part of the time of a request."""
    names = list(dict.fromkeys(name for run in runs for name in run.limit.shares))
    rows = [(str(run.number), *(percent(run.limit.shares.get(name, 0.0), 1.0) for name in names)) for run in runs]
    head = ("Run", *(named(name) for name in names))
    return Table("What the time of a request was spent on, on average", head, tuple(rows))
