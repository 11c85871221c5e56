"""Pauses the reading of one connection: as long as the limit of the bandwidth asks for it, or its sink has no room."""

from __future__ import annotations

import asyncio

from bulkhaul.wire.throttle import Throttle


class Pauses:
    """The pauses of one connection.

    Attributes:
        held: its sink has no room.
    """

    __slots__ = ("_throttle", "_timer", "_transport", "held")

    def __init__(self, throttle: Throttle | None) -> None:
        self._throttle = throttle
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.held = False

    def begin(self, transport: asyncio.Transport) -> None:
        """The connection is made."""
        self._transport = transport

    def hold(self) -> None:
        """Read no more until ``release``: the sink of a body has no room for more than what was read at once."""
        if self._transport is not None and not self.held:
            self.held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Read on, unless the limit of the bandwidth forbids it just now."""
        if self.held:
            self.held = False
            if self._timer is None:
                self._read_on()

    def moved(self, count: int) -> None:
        """So many bytes of a body have come."""
        if self._throttle is None or self._transport is None or not (pause_s := self._throttle.moved(count)):
            return
        if self._timer is None:
            self._transport.pause_reading()
        else:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(pause_s, self._read_on)

    def end(self) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def _read_on(self) -> None:
        self._timer = None
        if self._transport is not None and not self.held and not self._transport.is_closing():
            self._transport.resume_reading()
