"""Pauses the reading of one connection: as long as the limit of the bandwidth asks for it, or its sink has no room."""

from __future__ import annotations

import asyncio

from bulkhaul.wire.throttle import Throttle


class Pauses:
    """The pauses of one connection.

    Attributes:
        held: its sink has no room.
    """

    __slots__ = ("_throttle", "_timer", "held")

    def __init__(self, throttle: Throttle | None) -> None:
        self._throttle = throttle
        self._timer: asyncio.TimerHandle | None = None
        self.held = False

    def hold(self, transport: asyncio.Transport) -> None:
        """Read no more until ``release``."""
        self.held = True
        transport.pause_reading()

    def release(self, transport: asyncio.Transport) -> None:
        """Read on, unless the limit of the bandwidth forbids it just now."""
        self.held = False
        if self._timer is None and not transport.is_closing():
            transport.resume_reading()

    def moved(self, count: int, transport: asyncio.Transport | None) -> None:
        """So many bytes of a body have come over a transport."""
        if self._throttle is None or transport is None or not (pause_s := self._throttle.moved(count)):
            return
        if self._timer is None:
            transport.pause_reading()
        else:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._read_on, transport)

    def end(self) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _read_on(self, transport: asyncio.Transport) -> None:
        self._timer = None
        if not self.held and not transport.is_closing():
            transport.resume_reading()
