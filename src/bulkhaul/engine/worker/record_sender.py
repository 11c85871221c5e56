"""Sends a worker's lines about requests to the coordinator: a few times a second, and before what they led to.

A coordinator that is behind gets no lines: those that do not fit the list meanwhile are counted, and nothing waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkhaul.engine.messages.records import MOST_LINES, Told
from bulkhaul.wire.request_log import RequestLog

EVERY_S = 0.1
"""How often lines are sent: people see them at once, and thousands of requests a second take ten messages."""


class RecordSender:
    """The log of one worker's requests, on its way."""

    def __init__(self, log: RequestLog, send: Callable[[object], None], behind: Callable[[], bool]) -> None:
        """Take the log, what sends a message, and whether the peer has not yet read earlier ones."""
        self._log = log
        self._send = send
        self._behind = behind
        self._timer: asyncio.TimerHandle | None = None

    def turn(self, on: bool) -> None:
        """Begin or end to take note of requests."""
        self.flush()
        self._log.on = on
        if on and self._timer is None:
            self._wait()
        elif not on and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def send(self, message: object) -> None:
        """Send a message behind the lines about the requests that led to it."""
        if self._log.on:
            self.flush()
        self._send(message)

    def flush(self) -> None:
        """Send what there is, unless the coordinator is behind."""
        if not self._log.on or self._behind():
            return
        lines, dropped = self._log.take()
        for at in range(0, len(lines), MOST_LINES):
            self._send(Told(lines[at : at + MOST_LINES]))
        if dropped:
            self._send(Told(dropped=dropped))

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._due)

    def _due(self) -> None:
        self.flush()
        self._wait()
