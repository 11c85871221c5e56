"""Counts the steady part of a run from what was recorded: histograms, rates of connections, what limited it."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from bulkhaul.benchmark.latencies import histogram, latencies, record
from bulkhaul.benchmark.results import (
    ConnectionRate,
    FailureCount,
    Floors,
    Limit,
    Measured,
    ProcessUse,
    Steady,
    Window,
)
from bulkhaul.benchmark.spools import Rows, Spool
from bulkhaul.engine.messages.load_run import Meter
from bulkhaul.model.cores import usable_cores
from bulkhaul.model.workloads import OPERATIONS
from bulkhaul.policy.limits import Observed, limit_of
from bulkhaul.policy.steadiness import steady
from bulkhaul.wire.classify import OVERLOADED

GET, PUT = OPERATIONS.index("get"), OPERATIONS.index("put")


class Counts(msgspec.Struct):
    """What is counted of a run.

    Attributes:
        measured: of the steady part, as are the rates and the processes.
        failures: of the whole run.
        waited_s, body_s, queued_s: seconds that all requests together spent so.
        disk_s, disk_busy: seconds that all workers wrote bodies, and the share of its time of the one that did most.
        segments, retransmits: TCP segments with data that the workers sent, and those that they sent again.
        throttled: requests that were refused for load, by kind.
    """

    measured: tuple[Measured, ...]
    connections: tuple[ConnectionRate, ...]
    failures: tuple[FailureCount, ...]
    processes: tuple[ProcessUse, ...]
    done: int
    failed: int
    moved_bytes: int
    throttled: Counter[str]
    waited_s: float
    body_s: float
    queued_s: float
    disk_s: float
    disk_busy: float
    segments: int
    retransmits: int


def steady_part(windows: Sequence[Window], seconds: float) -> Steady:
    """Return the part of a run that counts: where it was steady, else all of it."""
    found = steady([sum(window.done.values()) / window.length_s for window in windows])
    if found is None:
        return Steady(0.0, seconds, reached=False)
    first, end = found
    return Steady(windows[first].at_s, windows[end - 1].at_s + windows[end - 1].length_s, reached=True)


class _Kind:
    """One operation on one class of sizes."""

    def __init__(self, operation: int) -> None:
        self.whole = histogram()
        self.first = histogram() if operation == GET else None
        self.done = self.failed = self.moved_bytes = 0


def count(spools: Sequence[Spool], begins_ns: int, part: Steady) -> Counts:
    """Read the spools once more, and count the requests that ended within the part of the run that counts."""
    from_ns, to_ns = begins_ns + round(part.from_s * 1e9), begins_ns + round(part.to_s * 1e9)
    kinds: dict[tuple[int, int], _Kind] = {}
    lanes: dict[tuple[int, int], np.ndarray] = defaultdict(lambda: np.zeros(3, dtype=np.int64))
    failures: dict[tuple[str, int], FailureCount] = {}
    processes = []
    throttled, grown = Counter[str](), list[_Grown]()
    spent = np.zeros(3, dtype=np.float64)
    for worker, spool in enumerate(spools):
        used = _Used(from_ns, to_ns)
        for told in spool.again():
            if isinstance(told, Meter):
                used.add(told)
                continue
            _count_failures(told, spool, failures)
            rows = told[(told["ended_ns"] >= from_ns) & (told["ended_ns"] < to_ns)]
            _count_kinds(rows, kinds)
            throttled.update(_throttled(rows, spool))
            spent += _spent_s(rows)
            for lane in np.unique(rows["lane"]):
                of = rows[rows["lane"] == lane]
                busy_ns = int((of["ended_ns"] - of["began_ns"]).sum())
                lanes[worker, int(lane)] += (len(of), int(of["moved_bytes"].sum()), busy_ns)
        processes.append(used.told(f"worker {worker}"))
        grown.append(used.grown)
    return Counts(
        measured=tuple(_measured(kind, seen) for kind, seen in sorted(kinds.items())),
        connections=tuple(
            ConnectionRate(worker, lane, int(seen[0]), int(seen[1]), round(int(seen[2]) / 1e9, 6))
            for (worker, lane), seen in sorted(lanes.items())
        ),
        failures=tuple(sorted(failures.values(), key=lambda one: -one.count)),
        processes=tuple(processes),
        done=sum(kind.done for kind in kinds.values()),
        failed=sum(kind.failed for kind in kinds.values()),
        moved_bytes=sum(kind.moved_bytes for kind in kinds.values()),
        throttled=throttled,
        waited_s=float(spent[0]),
        body_s=float(spent[1]),
        queued_s=float(spent[2]),
        disk_s=sum(of.disk_s for of in grown),
        disk_busy=max((of.disk_s for of in grown), default=0.0) / max(part.to_s - part.from_s, 1e-9),
        segments=round(sum(of.segments for of in grown)),
        retransmits=round(sum(of.retransmits for of in grown)),
    )


def _count_failures(rows: Rows, spool: Spool, failures: dict[tuple[str, int], FailureCount]) -> None:
    for number, amount in zip(*np.unique(rows["failure"], return_counts=True), strict=True):
        if not number:
            continue
        kind = spool.kinds[int(number)]
        known = failures.get((kind.code, kind.status)) or FailureCount(kind.code, kind.status, 0, kind.message)
        failures[kind.code, kind.status] = msgspec.structs.replace(known, count=known.count + int(amount))


def _throttled(rows: Rows, spool: Spool) -> dict[str, int]:
    """Return status and code of refusals for load, and how many there were of each."""
    refused = rows[np.isin(rows["status"], list(OVERLOADED))]
    kinds = zip(*np.unique(refused["failure"], return_counts=True), strict=True)
    named = ((spool.kinds[int(number)], int(amount)) for number, amount in kinds)
    return {f"{kind.status} {kind.code}": amount for kind, amount in named}


def _count_kinds(rows: Rows, kinds: dict[tuple[int, int], _Kind]) -> None:
    pairs = rows["operation"].astype(np.int64) * 256 + rows["size_class"]
    for pair in np.unique(pairs):
        operation, size_class = divmod(int(pair), 256)
        kind = kinds.setdefault((operation, size_class), _Kind(operation))
        of = rows[pairs == pair]
        good = of[of["failure"] == 0]
        kind.done += len(good)
        kind.failed += len(of) - len(good)
        kind.moved_bytes += int(good["moved_bytes"].sum())
        record(kind.whole, good["ended_ns"] - good["due_ns"])
        if kind.first is not None:
            record(kind.first, good["turn_ns"] - good["due_ns"])


def _spent_s(rows: Rows) -> np.ndarray:
    """Return the seconds of waiting for a reply, of bodies, and of waiting for a connection, of all requests."""
    good = rows[rows["failure"] == 0]
    before, after = good["turn_ns"] - good["began_ns"], good["ended_ns"] - good["turn_ns"]
    sends = good["operation"] == PUT
    waited_ns = np.where(sends, after, before).sum()
    body_ns = np.where(sends, before, after).sum()
    return np.array([waited_ns, body_ns, (good["began_ns"] - good["due_ns"]).sum()]) / 1e9


class _Grown(NamedTuple):
    """By how much what a worker counts grew within the part that counts; the fields are those of its meters."""

    cpu_s: float
    starved_s: float
    disk_s: float
    segments: float
    retransmits: float


class _Used:
    """What a worker used between two instants; its meters, four a second, are not kept."""

    def __init__(self, from_ns: int, to_ns: int) -> None:
        self._from_ns, self._to_ns = from_ns, to_ns
        self._last: Meter | None = None
        self._elapsed_s = self._most_lag_s = self._lags_s = 0.0
        self._meters = 0  # within
        self._grown = np.zeros(len(_Grown._fields))

    def add(self, meter: Meter) -> None:
        """Take the next meter; between two of them all grew evenly."""
        last, self._last = self._last, meter
        if self._from_ns <= meter.at_ns < self._to_ns:
            self._meters += 1
            self._lags_s += meter.lag_s
            self._most_lag_s = max(self._most_lag_s, meter.lag_s)
        if last is None or meter.at_ns <= last.at_ns:
            return
        within_ns = min(meter.at_ns, self._to_ns) - max(last.at_ns, self._from_ns)
        if within_ns <= 0:
            return
        self._elapsed_s += within_ns / 1e9
        share = within_ns / (meter.at_ns - last.at_ns)
        self._grown += share * np.array([getattr(meter, name) - getattr(last, name) for name in _Grown._fields])

    @property
    def grown(self) -> _Grown:
        """What grew by how much."""
        return _Grown(*self._grown.tolist())

    def told(self, name: str) -> ProcessUse:
        """Return it as shares of the time."""
        elapsed_s, grown = max(self._elapsed_s, 1e-9), self.grown
        return ProcessUse(
            name,
            cpu=round(grown.cpu_s / elapsed_s, 4),
            lag_ms=round(1000 * self._most_lag_s, 3),
            starved=round(grown.starved_s / elapsed_s, 4),
            mean_lag_ms=round(1000 * self._lags_s / max(self._meters, 1), 3),
        )


def _measured(kind: tuple[int, int], seen: _Kind) -> Measured:
    operation, size_class = kind
    return Measured(
        operation=OPERATIONS[operation],
        size_class=size_class,
        done=seen.done,
        failed=seen.failed,
        moved_bytes=seen.moved_bytes,
        whole=latencies(seen.whole),
        first_byte=None if seen.first is None else latencies(seen.first),
    )


_HELD = 0.9
"""A replay that made less of the rate of its log than this did not hold it, if requests waited for connections."""

_QUEUED = 0.1
"""Share of their time for which they did."""


def limited_by(
    counts: Counts, windows: Sequence[Window], part: Steady, floors: Floors | None, rate: float, machine_cpu: float
) -> Limit:
    """Return what limited a run."""
    within = [window for window in windows if part.from_s <= window.at_s < part.to_s] or list(windows)
    seconds, done = max(part.to_s - part.from_s, 1e-9), max(counts.done, 1)
    busiest = max(counts.processes, key=lambda use: use.cpu + use.starved, default=ProcessUse("", 0.0, 0.0))
    latest = max(counts.processes, key=lambda use: use.mean_lag_ms, default=ProcessUse("", 0.0, 0.0))
    waiting = [window.waiting for window in within] or [0]
    # At the end of a log nothing is due any more: what was late has been made up for, and it took longer than the log.
    queued = counts.queued_s > _QUEUED * (counts.waited_s + counts.body_s + counts.queued_s)
    behind = part.replayed and queued and counts.done + counts.failed < _HELD * rate * seconds
    read_bytes = sum(one.moved_bytes for one in counts.measured if one.operation == "get")
    seen = Observed(
        requests=counts.done,
        failed=counts.failed,
        throttled=counts.throttled.total(),
        refusal=max(counts.throttled, key=lambda kind: counts.throttled[kind], default=""),
        connections=sum(window.in_flight for window in within) / max(len(within), 1),
        first_byte_s=counts.waited_s / done,
        body_s=counts.body_s / done,
        disk_s=counts.disk_s / done,
        disk_busy=counts.disk_busy,
        queued_s=counts.queued_s / done,
        queue_grows=behind or waiting[-1] - waiting[0] > max(10.0, rate * 0.1),
        bytes_per_s=counts.moved_bytes / seconds,
        body_bytes_per_s=counts.moved_bytes / counts.body_s if counts.body_s > 0 else 0.0,
        busiest=busiest.name,
        largest_cpu=busiest.cpu,
        largest_starved=busiest.starved,
        latest=latest.name,
        lag_s=latest.mean_lag_ms / 1000,
        client_cpu=sum(use.cpu for use in counts.processes),
        machine_cpu=machine_cpu,
        cores=usable_cores(),
        machine_cores=os.cpu_count() or usable_cores(),
        floor_first_byte_s=floors.first_byte_ms / 1000 if floors else 0.0,
        floor_connection_bytes_per_s=floors.connection_bytes_per_s if floors else 0.0,
        floor_sockets_bytes_per_s=floors.sockets_bytes_per_s if floors else 0.0,
        floor_disk_bytes_per_s=floors.disk_bytes_per_s if floors else 0.0,
        written_bytes_per_s=read_bytes / seconds if counts.disk_s else 0.0,
        segments=counts.segments,
        retransmits=counts.retransmits,
        rate=rate,
    )
    return Limit(*limit_of(seen))
