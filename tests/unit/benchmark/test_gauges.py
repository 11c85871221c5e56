"""Retransmits of a load are added up from meter to meter, so that those of a connection that breaks stay."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack

from bulkhaul.engine.messages.load_run import Meter
from bulkhaul.engine.worker.load_spool import Gauges, Socket
from tests.patience import SOON_S


class MadeUp:
    """A socket of which the kernel tells what a test says; None once it is closed."""

    def __init__(self, rtt_us: int, retransmits: int, segments: int) -> None:
        self.told: tuple[int, int, int] | None = (rtt_us, retransmits, segments)

    def getsockopt(self, level: int, option: int, length: int, /) -> bytes:
        """Return ``struct tcp_info``. Source: linux/tcp.h: 8 bytes, 24 u32, 4 u64, and u32 again."""
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        if self.told is None:
            raise OSError(errno.EBADF, "closed")
        rtt_us, retransmits, segments = self.told
        words = [0] * 24
        words[15], words[23] = rtt_us, retransmits  # tcpi_rtt, tcpi_total_retrans
        # u64: pacing_rate, max_pacing_rate, bytes_acked, bytes_received
        # u32: segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out
        told = struct.pack("=8x24I4Q6I", *words, 1, 2, 3, 4, 5, 6, 7, 8, 9, segments)
        return told[:length]


def read(gauges: Gauges, *sockets: Socket) -> Meter:
    """Return a meter."""
    return gauges.read(in_flight=0, waiting=0, disk_s=0.0, sockets=sockets)


def counts(meters: Sequence[Meter]) -> list[tuple[int, int, int]]:
    """Return how many connections, retransmits and segments each meter has."""
    return [(meter.connections, meter.retransmits, meter.segments) for meter in meters]


def test_a_connection_that_breaks_is_not_forgotten() -> None:
    """What it had sent again by its last meter stays; what went before the load, and another load's, never counts."""
    old, new, later = MadeUp(500, 7, 100), MadeUp(700, 2, 10), MadeUp(900, 0, 3)
    gauges = Gauges([old])
    meters = [read(gauges, old, new)]
    new.told = (700, 12, 30)
    meters.append(read(gauges, old, new))
    new.told, old.told = None, (500, 8, 101)
    meters.append(read(gauges, old, new, later))
    assert counts(meters) == [(2, 2, 10), (2, 12, 30), (2, 13, 34)]
    assert [meter.rtt_us for meter in meters] == [600, 600, 700]


def test_segments_of_the_kernel() -> None:
    """Three writes, each sent at once, are three segments; over loopback none is lost."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        ours = stack.enter_context(socket.create_connection(listener.getsockname()))
        theirs = stack.enter_context(listener.accept()[0])
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        gauges = Gauges([ours])
        for _ in range(3):
            ours.sendall(b"1")
            theirs.recv(1)
        meter = read(gauges, ours)
    assert (meter.retransmits, meter.segments) == (0, 3)
    assert meter.rtt_us > 0


def test_retransmits_of_the_kernel() -> None:
    """A listener whose queue is full drops the first segment of a connection: after a second it is sent again."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        ours = stack.enter_context(socket.socket())
        ours.setblocking(False)
        gauges = Gauges([ours])
        ours.connect_ex(listener.getsockname())
        ends_s = time.monotonic() + SOON_S
        while not (meter := read(gauges, ours)).retransmits and time.monotonic() < ends_s:
            time.sleep(0.05)
    assert meter.retransmits == 1
