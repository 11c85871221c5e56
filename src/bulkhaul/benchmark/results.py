"""The values of a result, as ``result.json`` holds them: what was asked for, what was measured, and what limited it.

Result ─▶ Run, one a repeat ─▶ Measured, one for each operation and class of sizes
                            ─▶ Window, one a second; of long runs, one for several
"""

from __future__ import annotations

import msgspec

from bulkhaul.model.workloads import Operation, Workload

FORMAT = 1
"""Version of the file; it grows when a field changes its meaning."""


class Latencies(msgspec.Struct, frozen=True):
    """How long something took: a histogram, and what is read from it.

    Attributes:
        count: values.
        mean_ms, p50_ms, p90_ms, p99_ms, p999_ms, max_ms: milliseconds, exact to three digits.
        histogram: of microseconds, as HdrHistogram encodes it (V2, zlib, base64); histograms merge exactly.
    """

    count: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    histogram: str


class Measured(msgspec.Struct, frozen=True):
    """One operation on one class of sizes, within the steady part of a run.

    Attributes:
        size_class: place in ``policy.object_sizes.CLASS_NAMES``.
        done: requests that ended as they should.
        failed: those that did not; they are in no histogram.
        moved_bytes: of bodies.
        first_byte: from the instant at which a request was due to the first byte of its reply; of GETs.
        whole: to its end.
    """

    operation: Operation
    size_class: int
    done: int
    failed: int
    moved_bytes: int
    whole: Latencies
    first_byte: Latencies | None = None


class Window(msgspec.Struct, frozen=True):
    """What ended within one second of a run, or within several: 2, 4, 8 … where it took hours.

    Attributes:
        at_s: its beginning, in seconds from the beginning of the run.
        length_s: of it; the last one may be shorter.
        done: operation → requests.
        moved_bytes: operation → bytes.
        p50_ms, p99_ms: of whole requests, all operations together; 0 if none ended.
        cpu: CPU seconds a second of all worker processes together.
        lag_ms: by how much a worker's loop came late at most.
        in_flight: requests under way at the end.
        waiting: requests that were due and had no connection at the end.
    """

    at_s: float
    length_s: float
    done: dict[Operation, int]
    moved_bytes: dict[Operation, int]
    failed: int
    p50_ms: float
    p99_ms: float
    cpu: float
    lag_ms: float
    in_flight: int
    waiting: int


class Steady(msgspec.Struct, frozen=True):
    """The part of a run that counts.

    Attributes:
        from_s, to_s: its ends, in seconds from the beginning of the run.
        reached: throughput had no slope and stayed within a band; else all of the run counts, and it says so.
        replayed: all of the run counts, whatever its throughput was like: a log said what was due when.
    """

    from_s: float
    to_s: float
    reached: bool
    replayed: bool = False


class FailureCount(msgspec.Struct, frozen=True):
    """Failures of one kind, the whole run over.

    Attributes:
        message: of the first one.
    """

    code: str
    status: int
    count: int
    message: str


class ConnectionRate(msgspec.Struct, frozen=True):
    """What one lane brought about: it has one request in flight at a time, and so one connection.

    Attributes:
        busy_s: seconds in which a request was under way.
    """

    worker: int
    lane: int
    requests: int
    moved_bytes: int
    busy_s: float


class ProcessUse(msgspec.Struct, frozen=True):
    """What a process of the client used, within the steady part.

    Attributes:
        cpu: CPU seconds a second; 1 is a core.
        starved: seconds a second for which it could have gone on, and had no CPU; 0 if nobody knows.
        lag_ms: by how much its loop came late at most.
        mean_lag_ms: and on average.
    """

    name: str
    cpu: float
    lag_ms: float
    starved: float = 0.0
    mean_lag_ms: float = 0.0


class Floors(msgspec.Struct, frozen=True):
    """What the same endpoint and disk gave to a few raw sockets and writes, on the spot.

    Attributes:
        connect_ms: median of TCP and TLS handshakes.
        first_byte_ms: median time to the first byte of a GET over one idle connection.
        connection_bytes_per_s: of a body over one connection, alone; 0 if objects are too small to tell.
        sockets_bytes_per_s: of bodies over several connections at once; 0 likewise.
        sockets: how many these were.
        disk_bytes_per_s: of writes to the folder of bodies; 0 if none is written, or nobody knows.
        no_disk: why nobody does.
    """

    connect_ms: float
    first_byte_ms: float
    connection_bytes_per_s: float
    sockets_bytes_per_s: float
    sockets: int
    disk_bytes_per_s: float = 0.0
    no_disk: str = ""


class Limit(msgspec.Struct, frozen=True):
    """What limited a run.

    Attributes:
        name: ``first byte``, ``connection rate``, ``network``, ``disk``, ``client CPU``, ``machine CPU``,
            ``event loop``, ``throttling``, ``rate asked for``, ``rate not held``, ``failures`` or ``unknown``.
        sentence: one for people.
        shares: what took what part of the time of a request, 0 to 1.
    """

    name: str
    sentence: str
    shares: dict[str, float]


class Run(msgspec.Struct, frozen=True):
    """One repeat.

    Attributes:
        began: in UTC, as RFC 3339 writes it.
        requests_per_s, bytes_per_s: of the steady part.
        workers: processes that made the requests.
        concurrency: requests in flight at most.
        retransmits: TCP segments that the client sent again.
        interrupted: it was ended early.
        never_begun: requests that were due, and had no connection before the time was over; no other number has them.
    """

    number: int
    began: str
    seconds: float
    steady: Steady
    requests_per_s: float
    bytes_per_s: float
    concurrency: int
    workers: int
    measured: tuple[Measured, ...]
    windows: tuple[Window, ...]
    failures: tuple[FailureCount, ...]
    connections: tuple[ConnectionRate, ...]
    processes: tuple[ProcessUse, ...]
    retransmits: int
    limit: Limit
    interrupted: bool = False
    never_begun: int = 0


class Result(msgspec.Struct, frozen=True):
    """A benchmark, from its settings to its runs.

    Attributes:
        url: of the prefix that the objects were below.
        open_loop: requests were due by themselves; else the next was made when a reply had come, and a slow service
            was asked less.
        workload: what was asked for; of the place of bodies only what it is, such as ``a folder``.
        machine, settings: what a reader must know of both; no secret, no name of the machine.
        no_floors: why there are none.
    """

    format: int
    version: str
    name: str
    endpoint: str
    url: str
    open_loop: bool
    workload: Workload
    settings: dict[str, str]
    machine: dict[str, str]
    floors: Floors | None
    runs: tuple[Run, ...]
    no_floors: str = ""


def written(result: Result) -> bytes:
    """Return ``result.json``."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


RESULTS: msgspec.json.Decoder[Result] = msgspec.json.Decoder(Result)

__all__ = [
    "FORMAT",
    "RESULTS",
    "ConnectionRate",
    "FailureCount",
    "Floors",
    "Latencies",
    "Limit",
    "Measured",
    "ProcessUse",
    "Result",
    "Run",
    "Steady",
    "Window",
    "Workload",
    "written",
]
