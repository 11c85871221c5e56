"""Has the kernel notice that the peer of a connection is dead."""

from __future__ import annotations

import contextlib
import socket

KEEPALIVE_OPTIONS: tuple[tuple[int, str, int], ...] = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 30_000),
)
"""A dead peer is noticed within a minute; the kernel's own timers wait two hours. Source: tcp(7)."""


def keep_alive(sock: socket.socket | None) -> None:
    """Set the timers of a connection."""
    if sock is None:
        return
    for level, name, value in KEEPALIVE_OPTIONS:
        if (option := getattr(socket, name, None)) is not None:
            with contextlib.suppress(OSError):  # a platform without the timer keeps its own
                sock.setsockopt(level, option, value)
