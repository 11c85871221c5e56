"""Writes what a load records into its spool: rows together, a few times a second, and meters beside them."""

from __future__ import annotations

import os
import statistics
import struct
import time
from collections.abc import Callable, Iterable
from socket import IPPROTO_TCP, TCP_INFO
from typing import NamedTuple, Protocol

import msgspec

from bulkhaul.engine.messages.load_run import FAILURE, FRAME, METER, ROW, ROWS, FailureKind, Meter
from bulkhaul.model.errors import ErrorInfo, error_of

MOST_KINDS = 250
"""Kinds of failures that are told apart: their number has one byte."""

FLUSH_BYTES = 256 * 1024
"""Rows that are written at once at the latest."""

_RTT, _TOTAL_RETRANS, _DATA_SEGS_OUT, _TCP_INFO_BYTES = 68, 100, 156, 160
"""Offsets of ``tcpi_rtt`` (us), ``tcpi_total_retrans`` and ``tcpi_data_segs_out`` in ``struct tcp_info``, and how
much of it is asked for. Source: linux/tcp.h; Linux 4.6 has all of it."""


class Socket(Protocol):
    """What is asked of a connection's socket."""

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """Return an option as bytes."""
        ...


class Spool:
    """The record of one load."""

    def __init__(self, fd: int, hide: Callable[[ErrorInfo], ErrorInfo]) -> None:
        """Append to a file that stays the caller's; ``hide`` takes secrets out of an error."""
        self._fd = fd
        self._hide = hide
        self._rows = bytearray()
        self._kinds: dict[tuple[str, int], int] = {}
        self.row = self._row

    def _row(self, *fields: int) -> None:
        """Record a request; the fields are those of ``ROW``."""
        self._rows += ROW.pack(*fields)
        if len(self._rows) >= FLUSH_BYTES:
            self.flush()

    def kind_of(self, info: ErrorInfo) -> int:
        """Return the number of a kind of failure, told once; the last number is for all kinds beyond."""
        kind = info.service_code or info.code, info.status
        number = self._kinds.get(kind)
        if number is None:
            number = self._kinds[kind] = min(len(self._kinds) + 1, MOST_KINDS)
            told = self._hide(info)
            first = FailureKind(number, kind[0], kind[1], told.message, error_of(info).retryable)
            self._frame(FAILURE, msgspec.msgpack.encode(first))
        return number

    def meter(self, meter: Meter) -> None:
        """Write a meter, and the rows before it."""
        self.flush()
        self._frame(METER, msgspec.msgpack.encode(meter))

    def flush(self) -> None:
        """Write the rows."""
        if self._rows:
            rows, self._rows = self._rows, bytearray()
            self._frame(ROWS, rows)

    def _frame(self, kind: int, body: bytes | bytearray) -> None:
        """Append a frame.

        Raises:
            OSError: the disk refuses; the load ends with it.
        """
        data = memoryview(FRAME.pack(kind, len(body)) + body)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, "the record of requests, in the folder TMPDIR") from error


class TcpState(NamedTuple):
    """What the kernel tells of a connection.

    Attributes:
        rtt_us: its smoothed round trip time.
        retransmits: segments that were sent again, ever.
        segments: with data that were sent, ever; those sent again included.
    """

    rtt_us: int
    retransmits: int
    segments: int


class Gauges:
    """What the process knows of itself from one meter to the next.

    What the kernel counts of a connection ends with it, so its growth is added up from meter to meter. What a
    connection does between its last meter and its end is lost.
    """

    def __init__(self, sockets: Iterable[Socket]) -> None:
        """Take the connections that are there before the load: only what they do from now on counts."""
        self._lag_s = 0.0
        self._states = _states(sockets)
        self._retransmits = self._segments = 0

    def came_late(self, lag_s: float) -> None:
        """The loop came so late to a timer."""
        self._lag_s = max(self._lag_s, lag_s)

    def read(self, *, in_flight: int, waiting: int, disk_s: float, sockets: Iterable[Socket]) -> Meter:
        """Return a meter of this instant."""
        self._add_up(_states(sockets))
        told = self._states.values()
        lag_s, self._lag_s = self._lag_s, 0.0
        return Meter(
            time.monotonic_ns(),
            time.process_time(),
            _starved_s(),
            lag_s,
            in_flight,
            waiting,
            disk_s,
            len(told),
            self._retransmits,
            self._segments,
            round(statistics.median(state.rtt_us for state in told)) if told else 0,
        )

    def _add_up(self, states: dict[Socket, TcpState]) -> None:
        """Add what connections have done since the last meter; one that was not there then has done all of it since."""
        for one, state in states.items():
            before = self._states.get(one, TcpState(0, 0, 0))
            self._retransmits += state.retransmits - before.retransmits
            self._segments += state.segments - before.segments
        self._states = states


def _starved_s() -> float:
    """Return for how long this process has waited for a CPU.

    Source: Linux, Documentation/scheduler/sched-stats.rst: ns on a CPU, ns in a run queue, time slices.
    """
    try:
        with open("/proc/self/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def _states(sockets: Iterable[Socket]) -> dict[Socket, TcpState]:
    """Return the states of the connections that are open."""
    return {one: state for one in sockets if (state := _tcp_state(one)) is not None}


def _tcp_state(one: Socket) -> TcpState | None:
    """Return the state of a connection, None if it is gone; zeros where the kernel tells too little."""
    try:
        state = one.getsockopt(IPPROTO_TCP, TCP_INFO, _TCP_INFO_BYTES)
    except (OSError, ValueError):  # uvloop's sockets raise ValueError once they are closed
        return None
    if len(state) < _TCP_INFO_BYTES:
        return TcpState(0, 0, 0)
    return TcpState(*(struct.unpack_from("=I", state, at)[0] for at in (_RTT, _TOTAL_RETRANS, _DATA_SEGS_OUT)))
