"""Has a worker report four times a second, and more often while the coordinator asks for it and work is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkhaul.engine.messages.messages import Load
from bulkhaul.engine.worker.load_meter import LoadMeter
from bulkhaul.policy.delivery import CLOSE_REPORT_S, REPORT_S


class Heartbeat:
    """The timer of one worker's reports."""

    def __init__(self, tell: Callable[[Load | None], None], busy: Callable[[], bool]) -> None:
        """Take what reports, and what tells whether anything is under way; the load is that since the last heartbeat.

        A report between two heartbeats has no load: over so short a time it would be mostly chance.
        """
        self._tell = tell
        self._busy = busy
        self._loop = asyncio.get_running_loop()
        self._meter = LoadMeter()
        self._often = False
        self._timer: asyncio.TimerHandle | None = None
        self._beat_s = self._due_s = self._loop.time()

    def start(self) -> None:
        """Report for the first time."""
        self._wait_until(self._due_s)

    def report_often(self, often: bool) -> None:
        """Report more often from now on, or not any more."""
        self._often = often
        if self._busy():
            self.work_came()

    def work_came(self) -> None:
        """Something is under way from now on."""
        if self._often and self._due_s > (due_s := self._loop.time() + CLOSE_REPORT_S):
            if self._timer is not None:
                self._timer.cancel()
            self._wait_until(due_s)

    def _report(self) -> None:
        now_s = self._loop.time()
        self._meter.came_late(now_s - self._due_s)
        if now_s >= self._beat_s:
            self._beat_s = now_s + REPORT_S
            self._tell(self._meter.load(now_s))
        else:
            self._tell(None)
        close_s = now_s + CLOSE_REPORT_S
        self._wait_until(min(self._beat_s, close_s) if self._often and self._busy() else self._beat_s)

    def _wait_until(self, due_s: float) -> None:
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._report)
