"""Makes a result of an op-log, to be compared: one run, counted as a benchmark of ours is.

The log is read three times, line by line: what it holds ─▶ throughput over time ─▶ times within the steady part.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from bulkhaul import __version__
from bulkhaul.benchmark.latencies import histogram, latencies, record
from bulkhaul.benchmark.op_log import Op, read
from bulkhaul.benchmark.results import (
    FORMAT,
    ConnectionRate,
    FailureCount,
    Limit,
    Measured,
    Result,
    Run,
    Steady,
    Window,
)
from bulkhaul.benchmark.windows import STEPS, length_of, percentile_ms
from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import OPERATIONS, Operation, Workload
from bulkhaul.policy.comparability import RECORDED
from bulkhaul.policy.nanoseconds import write_instant
from bulkhaul.policy.object_sizes import class_of
from bulkhaul.policy.steadiness import steady

MOST_S = 7 * 24 * 3600
"""A log of a longer time is taken for one whose clock was set meanwhile."""

_CHUNK = 1 << 16
"""Times that go into a histogram together."""

_KINDS = 100
"""Kinds of failures that are told apart."""

_SECOND = 1_000_000_000

_NAMES: dict[str, Operation] = {operation.upper(): operation for operation in OPERATIONS}

Times = npt.NDArray[np.int64]


class _Seen(msgspec.Struct):
    """All requests of one operation: how many, from when to when."""

    count: int
    begins_ns: int
    ends_ns: int


def result_of(path: Path) -> Result:
    """Return what an op-log says, as a result of one run.

    Operations that were over before those at the end began were preparation, as warp's PUTs before its GETs, and are
    left out. So is what no benchmark of ours does; both is told in ``settings``.

    Raises:
        UsageError: it is no op-log, or holds nothing that can be counted.
        LocalError: it cannot be read.
    """
    seen = _look(path)
    known = {name: one for name, one in seen.items() if name in _NAMES}
    if not known:
        raise UsageError("this op-log holds no GET, PUT, LIST, STAT or DELETE", str(path))
    last = max(known.values(), key=lambda one: one.ends_ns)
    chosen = {name: one for name, one in known.items() if _together(one, last)}
    begins_ns = min(one.begins_ns for one in chosen.values())
    seconds = max(last.ends_ns - begins_ns, 1) / _SECOND
    if seconds > MOST_S:
        raise UsageError("this op-log spans more than a week: one of its instants must be wrong", str(path))
    counted = _Counted(begins_ns, seconds)
    for op in _of(path, chosen):
        counted.add(op)
    part = counted.steady_part()
    measured = _measured(path, chosen, begins_ns, part)
    length_s = part.to_s - part.from_s
    run = Run(
        number=1,
        began=write_instant(begins_ns),
        seconds=round(seconds, 3),
        steady=part,
        requests_per_s=sum(one.done for one in measured) / length_s,
        bytes_per_s=sum(one.moved_bytes for one in measured) / length_s,
        concurrency=len(counted.threads),
        workers=len({client for client, _ in counted.threads}),
        measured=measured,
        windows=tuple(counted.windows()),
        failures=tuple(counted.failures()),
        connections=tuple(counted.connections()),
        processes=(),
        retransmits=0,
        limit=Limit("unknown", "An op-log does not tell what limited it.", {}),
    )
    left_out = {f"left out: {name}": f"{one.count} requests" for name, one in seen.items() if name not in chosen}
    workload = Workload(
        mix={_NAMES[name]: 100 * one.count / sum(one.count for one in chosen.values()) for name, one in chosen.items()},
        size=RECORDED,
        duration_s=seconds,
        concurrency=len(counted.threads),
    )
    return Result(
        format=FORMAT,
        version=__version__,
        name=path.name,
        endpoint=counted.endpoint,
        url="",
        open_loop=False,
        workload=workload,
        settings=left_out,
        machine={},
        floors=None,
        runs=(run,),
    )


def _look(path: Path) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for op in read(path):
        one = seen.setdefault(op.op, _Seen(0, op.start_ns, op.end_ns))
        one.count += 1
        one.begins_ns, one.ends_ns = min(one.begins_ns, op.start_ns), max(one.ends_ns, op.end_ns)
    return seen


def _together(one: _Seen, last: _Seen) -> bool:
    """Return whether an operation went on beside the last one, for at least half of its own time."""
    beside = min(one.ends_ns, last.ends_ns) - max(one.begins_ns, last.begins_ns)
    return one is last or 2 * beside > one.ends_ns - one.begins_ns


def _of(path: Path, chosen: dict[str, _Seen]) -> Iterator[Op]:
    return (op for op in read(path) if op.op in chosen)


class _Counted:
    """What is counted of the whole run, window by window."""

    def __init__(self, begins_ns: int, seconds: float) -> None:
        self._begins_ns = begins_ns
        self._seconds = seconds
        self._length_s = length_of(math.ceil(seconds))
        count = math.ceil(seconds / self._length_s)
        self._lengths = [float(self._length_s)] * (count - 1) + [seconds - (count - 1) * self._length_s]
        self._done: defaultdict[Operation, Times] = defaultdict(lambda: np.zeros(count, dtype=np.int64))
        self._moved: defaultdict[Operation, Times] = defaultdict(lambda: np.zeros(count, dtype=np.int64))
        self._failed = np.zeros(count, dtype=np.int64)
        self._bins: list[Counter[int]] = [Counter() for _ in range(count)]
        self._kinds: Counter[str] = Counter()
        self.endpoint = ""
        self.threads: dict[tuple[str, int], list[int]] = {}  # requests, bytes, ns

    def add(self, op: Op) -> None:
        """Count a request in the window in which it ended."""
        at = min((op.end_ns - self._begins_ns) // (self._length_s * _SECOND), len(self._lengths) - 1)
        took_ns = op.end_ns - op.start_ns
        thread = self.threads.setdefault((op.client_id, op.thread), [0, 0, 0])
        thread[0] += 1
        thread[2] += took_ns
        self.endpoint = self.endpoint or op.endpoint
        if op.error:
            self._failed[at] += 1
            kind = op.error if op.error in self._kinds or len(self._kinds) < _KINDS else "others"
            self._kinds[kind] += 1
            return
        thread[1] += op.size_bytes
        self._done[_NAMES[op.op]][at] += 1
        self._moved[_NAMES[op.op]][at] += op.size_bytes
        self._bins[at][int(np.log2(max(took_ns / 1000, 1.0)) * STEPS)] += 1

    def steady_part(self) -> Steady:
        """Return the part that counts: where it was steady, else all of it."""
        done = sum(self._done.values(), start=np.zeros(len(self._lengths), dtype=np.int64))
        found = steady([int(count) / length for count, length in zip(done, self._lengths, strict=True)])
        if found is None:
            return Steady(0.0, self._seconds, reached=False)
        first, end = found
        return Steady(float(first * self._length_s), (end - 1) * self._length_s + self._lengths[end - 1], reached=True)

    def windows(self) -> Iterator[Window]:
        """Yield the windows; an op-log does not tell what the client did meanwhile."""
        for at, length_s in enumerate(self._lengths):
            places = np.array(sorted(self._bins[at]), dtype=np.int64)
            counts = np.array([self._bins[at][place] for place in places.tolist()], dtype=np.int64)
            yield Window(
                at_s=float(at * self._length_s),
                length_s=length_s,
                done={name: int(counts[at]) for name, counts in self._done.items() if counts[at]},
                moved_bytes={name: int(counts[at]) for name, counts in self._moved.items() if counts[at]},
                failed=int(self._failed[at]),
                p50_ms=percentile_ms(places, counts, 0.50),
                p99_ms=percentile_ms(places, counts, 0.99),
                cpu=0.0,
                lag_ms=0.0,
                in_flight=0,
                waiting=0,
            )

    def failures(self) -> Iterator[FailureCount]:
        """Yield the failures, the most frequent first; an op-log knows no codes."""
        for message, count in self._kinds.most_common():
            yield FailureCount(message.partition(":")[0][:80], 0, count, message)

    def connections(self) -> Iterator[ConnectionRate]:
        """Yield what each thread of each client brought about."""
        clients = {client: number for number, client in enumerate(sorted({client for client, _ in self.threads}))}
        for (client, thread), (requests, moved_bytes, busy_ns) in sorted(self.threads.items()):
            yield ConnectionRate(clients[client], thread, requests, moved_bytes, busy_ns / _SECOND)


class _Kind:
    """One operation on one class of sizes, within the part that counts."""

    def __init__(self) -> None:
        self.done = self.failed = self.moved_bytes = 0
        self._histograms = {"whole": histogram(), "first": histogram()}
        self._waiting: dict[str, list[int]] = {"whole": [], "first": []}

    def add(self, op: Op) -> None:
        """Count a request."""
        if op.error:
            self.failed += 1
            return
        self.done += 1
        self.moved_bytes += op.size_bytes
        self._waiting["whole"].append(op.end_ns - op.start_ns)
        if op.op == "GET" and op.first_byte_ns:
            self._waiting["first"].append(max(0, op.first_byte_ns - op.start_ns))
        if len(self._waiting["whole"]) >= _CHUNK:
            self._record()

    def _record(self) -> None:
        for name, took_ns in self._waiting.items():
            record(self._histograms[name], np.array(took_ns, dtype=np.int64))
            took_ns.clear()

    def measured(self, operation: Operation, size_class: int) -> Measured:
        """Return what was counted."""
        self._record()
        first, whole = latencies(self._histograms["first"]), latencies(self._histograms["whole"])
        counts = (self.done, self.failed, self.moved_bytes)
        return Measured(operation, size_class, *counts, whole, first if first.count else None)


def _measured(path: Path, chosen: dict[str, _Seen], begins_ns: int, part: Steady) -> tuple[Measured, ...]:
    from_ns, to_ns = (begins_ns + round(instant_s * _SECOND) for instant_s in (part.from_s, part.to_s))
    kinds: dict[tuple[int, int], _Kind] = {}
    for op in _of(path, chosen):
        # The end of all belongs to the last window, as that is where it was counted.
        if from_ns <= op.end_ns < to_ns or op.end_ns == to_ns == max(one.ends_ns for one in chosen.values()):
            place = OPERATIONS.index(_NAMES[op.op]), class_of(op.size_bytes)
            kinds.setdefault(place, _Kind()).add(op)
    return tuple(kind.measured(OPERATIONS[place[0]], place[1]) for place, kind in sorted(kinds.items()))


__all__ = ["result_of"]
