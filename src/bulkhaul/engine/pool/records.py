"""Logs what the workers do: their requests, as they tell of them, and how many requests may be in flight.

logging's level ─▶ TellRequests ─▶ workers ─▶ Told ─▶ bulkhaul.request
                                  each tick ─▶ the window ─▶ bulkhaul.window
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from bulkhaul.engine.messages.records import TellRequests, Told
from bulkhaul.policy.window import Window

_requests = logging.getLogger("bulkhaul.request")
_window = logging.getLogger("bulkhaul.window")


class Records:
    """What one engine's workers have logged."""

    def __init__(self, window: Window) -> None:
        self._in_force = window
        self._told_size = window.size
        self._on = _requests.isEnabledFor(logging.DEBUG)  # what every worker was told; at first they tell nothing

    def begin(self, tell: Callable[[TellRequests], None]) -> None:
        """Tell a new worker what the others were told; a change since then is for ``look``."""
        if self._on:
            tell(TellRequests(on=True))

    def look(self, tell: Callable[[TellRequests], None]) -> None:
        """Log a change of the window; tell every worker by ``tell`` if the level has changed."""
        size = self._in_force.size
        if size != self._told_size:
            if _window.isEnabledFor(logging.INFO):
                _window.info("requests in flight at most: %d, before %d", size, self._told_size)
            self._told_size = size
        on = _requests.isEnabledFor(logging.DEBUG)
        if on != self._on:
            self._on = on
            tell(TellRequests(on))

    @staticmethod
    def emit(worker: int, told: Told) -> None:
        """Pass a worker's lines on, each with the time at which its request had ended."""
        if not _requests.isEnabledFor(logging.DEBUG):
            return
        for at_s, text in told.lines:
            record = _requests.makeRecord(_requests.name, logging.DEBUG, "", 0, "%s", (text,), None)
            record.created, record.msecs = at_s, at_s % 1 * 1000
            record.processName = f"worker {worker}"
            _requests.handle(record)
        if told.dropped:
            _requests.debug("%d more requests, too many to tell of each", told.dropped)
