"""Defines what a worker is told of a load that it puts on a service, and what it records of each request.

    coordinator ─▶ worker   LoadRun (+ the descriptor of its spool)
    worker ─▶ spool         frames, appended a few times a second: rows, meters, failures
    worker ─▶ coordinator   LoadRunEnded

The spool is a file: nobody waits for its reader, and what a killed worker has recorded stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

import msgspec

from bulkhaul.engine.messages.request import Request
from bulkhaul.model.workloads import ObjectTable, Order
from bulkhaul.wire.values import Target

Work = Literal["mix", "fill", "drain", "replay"]
"""What a load does: operations by chance until its time is over; one PUT of each object; one DELETE of each; or what a
schedule says."""

ROW = struct.Struct("<BBHHHIQqqqq")
"""One request: operation, failure (0 for none; see ``FailureKind``), status, lane, class of the size, place of the
object, bytes moved, and four instants of the monotonic clock in ns: due, started, turn, end. The turn of a PUT is when
its last byte had left; of all others, when the head of the reply had come."""

SCHEDULED = struct.Struct("<qIBxxxQ")
"""One request of a schedule: ns after the beginning at which it is due, place of the object, operation, bytes."""

PUT_PLACE = 1 << 31
"""Added to the place of an object that was stored meanwhile, to tell it from a prepared one."""

FRAME = struct.Struct("<II")
"""Kind and length of what follows in a spool."""

ROWS, METER, FAILURE = 1, 2, 3


class LoadRunEnded(msgspec.Struct, frozen=True):
    """How a load ended.

    Attributes:
        puts: objects that were given numbers for PUTs, the first one included that the load began with.
        gone: places of prepared objects that were deleted.
        never_begun: requests that were due, and had no connection before the time was over.
    """

    puts: int
    gone: tuple[int, ...]
    never_begun: int = 0


class LoadRun(Request[LoadRunEnded], tag=True, frozen=True):
    """Requests to make of one bucket, and how many side by side.

    Attributes:
        prefix: everything is below it.
        worker: number of this worker among ``workers``; it decides whose objects are whose.
        weights: of each operation of ``OPERATIONS``, for a mix.
        lanes: requests in flight at most.
        rate: requests a second that are due whatever the service does, Poisson; 0 to ask again when a reply has come.
        begins_ns: instant of the monotonic clock, the same for all workers.
        duration_ns: after it no request is begun; 0 for work that ends by itself.
        range_bytes: length of ranged GETs, at random places; 0 for whole objects.
        compressible: by what factor bodies can be compressed; 1 for noise.
        first_put: number of the first PUT of a new object.
        places: prepared objects that are filled or drained; None for all of this worker's.
        schedule_bytes: length of the schedule at the head of the spool, for a replay.
        folder: where the bodies of GETs are written; empty to throw them away.
    """

    sent = False
    with_memory = True
    endless = True

    target: Target
    bucket: str
    prefix: str
    table: ObjectTable
    work: Work
    worker: int
    workers: int
    weights: tuple[float, ...]
    lanes: int
    rate: float
    begins_ns: int
    duration_ns: int
    order: Order = "random"
    range_bytes: int = 0
    compressible: float = 1.0
    first_put: int = 0
    seed: int = 0
    places: tuple[int, ...] | None = None
    schedule_bytes: int = 0
    folder: str = ""


class Meter(msgspec.Struct, frozen=True):
    """What a worker knows of itself and its connections, at one instant.

    Attributes:
        at_ns: instant of the monotonic clock.
        cpu_s: CPU seconds of the process so far.
        starved_s: seconds for which it could have gone on, and had no CPU, so far; 0 if nobody knows.
        lag_s: by how much its loop came late at most since the last meter.
        in_flight: requests under way.
        waiting: requests that are due and have no lane.
        disk_s: seconds that writing bodies took so far.
        connections: open to the service.
        retransmits: TCP segments that were sent again since the load began, also on connections that are closed.
        segments: all with data that were sent since then. Source of both: TCP_INFO of Linux.
        rtt_us: median of their smoothed round trip times, 0 if nobody knows.
    """

    at_ns: int
    cpu_s: float
    starved_s: float
    lag_s: float
    in_flight: int
    waiting: int
    disk_s: float
    connections: int
    retransmits: int
    segments: int
    rtt_us: int


class FailureKind(msgspec.Struct, frozen=True):
    """A kind of failure, told before the first row that has its number.

    Attributes:
        message: of the first one.
        retryable: whether the same request may succeed when it is made again.
    """

    number: int
    code: str
    status: int
    message: str
    retryable: bool


METERS: msgspec.msgpack.Decoder[Meter] = msgspec.msgpack.Decoder(Meter)
FAILURES: msgspec.msgpack.Decoder[FailureKind] = msgspec.msgpack.Decoder(FailureKind)


def frames(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield (kind, body, where the next frame begins) of each frame that is whole."""
    start = 0
    while start + FRAME.size <= len(data):
        kind, length = FRAME.unpack_from(data, start)
        end = start + FRAME.size + length
        if end > len(data):
            return
        yield kind, data[start + FRAME.size : end], end
        start = end


__all__ = [
    "FAILURE",
    "FAILURES",
    "FRAME",
    "METER",
    "METERS",
    "PUT_PLACE",
    "ROW",
    "ROWS",
    "SCHEDULED",
    "FailureKind",
    "LoadRun",
    "LoadRunEnded",
    "Meter",
    "Work",
    "frames",
]
