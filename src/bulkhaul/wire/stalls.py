"""Tells which exchange has stalled, from the bytes that its connection has moved between two looks.

no reply head or no byte for read_s      no reply to a body for ack_s      a body slower than the floor of speed
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.http1 import Connection


class Watch(msgspec.Struct):
    """What is remembered of a busy connection; the speed window opens with the first byte.

    Attributes:
        seen_bytes: moved at the last look at which they had changed, and ``changed_s`` the instant of that.
        sends: a body is sent.
        began_s: when the exchange began.
        late: called once if its reply is late; None if nobody wants to know.
    """

    seen_bytes: int
    changed_s: float
    sends: bool = False
    window_began_s: float | None = None
    window_bytes: int = 0
    began_s: float = 0.0
    late: Callable[[], None] | None = None

    def begin_anew(self, connection: Connection, now_s: float) -> None:
        """Watch the next exchange of the connection by itself."""
        self.seen_bytes, self.changed_s, self.window_began_s = connection.moved_bytes, now_s, None
        self.began_s = now_s

    def silent_s(self, connection: Connection, now_s: float) -> float:
        """Return how long nothing has come of the reply, 0 from its first byte on."""
        began = self.window_began_s is not None or connection.moved_bytes != self.seen_bytes
        return 0.0 if began else now_s - self.began_s

    def too_slow(self, connection: Connection, now_s: float, timeouts: Timeouts) -> TimeoutError | None:
        """Look at the connection; return what ends its exchange if it has stalled."""
        moved = connection.moved_bytes
        if connection.pauses.held:  # by the one who reads, not by the peer
            self.seen_bytes, self.changed_s = moved, now_s
            self.window_began_s, self.window_bytes = now_s, connection.bytes_in
            return None
        patience_s = timeouts.ack_s if self.sends and not connection.sending else timeouts.read_s
        if moved != self.seen_bytes:
            self.seen_bytes, self.changed_s = moved, now_s
            if self.window_began_s is None:
                self.window_began_s, self.window_bytes = now_s, connection.bytes_in
        elif now_s - self.changed_s >= patience_s:
            return TimeoutError(f"no bytes for {patience_s:g} s")
        if self.sends:
            return None  # bytes in the kernel count as sent, so a speed cannot be told, only a pause
        if self.window_began_s is None or now_s - self.window_began_s < timeouts.speed_window_s:
            return None
        elapsed_s, came = now_s - self.window_began_s, connection.bytes_in - self.window_bytes
        self.window_began_s, self.window_bytes = now_s, connection.bytes_in
        if came < timeouts.min_speed_bytes_per_s * elapsed_s:
            return TimeoutError(f"{came} bytes in {elapsed_s:.0f} s, under the floor of speed")
        return None
