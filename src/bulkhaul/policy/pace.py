"""Tells the window what becomes of leases: it knows requests, and leases stand for one or for many.

given ─▶ began        heard, done, failed ─▶ moved        failed, lost ─▶ let_go
"""

from __future__ import annotations

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.crew import Crew, Lease
from bulkhaul.policy.events import Heard
from bulkhaul.policy.outage import Outage, sign_of
from bulkhaul.policy.window import Window


class Pace:
    """The window of one engine, and the leases that use it."""

    def __init__(self, window: Window, crew: Crew) -> None:
        self._window = window
        self._crew = crew

    def given(self, lease: Lease, now_s: float) -> None:
        """A lease was given to a worker."""
        lease.told_s = now_s
        worker = self._crew.workers[lease.worker]
        if worker.load == lease.requests:
            worker.told_s = now_s  # it did nothing before
        self._window.began(now_s, lease.requests)

    def heard(self, event: Heard, now_s: float) -> None:
        """A worker has told of replies that have begun, of how far its leases are, and of its load."""
        workers = self._crew.workers
        if event.reached or event.share is not None:
            workers[event.worker].told_s = now_s
            self._window.told(min((one.told_s for one in workers.values() if one.load), default=now_s))
        if event.heads:
            self._window.moved(now_s, now_s, 0, heads=event.heads, ttfb_sum_s=event.ttfb_sum_s)
        if event.share is not None:
            worker = workers[event.worker]
            # Late once is chance, or another program's doing; a loop that is overrun is late each time.
            lag_s, worker.lag_s, worker.share = min(worker.lag_s, event.lag_s), event.lag_s, event.share
            used = sum(one.share for one in workers.values())
            self._window.saturated(now_s, used / min(self._window.cores, len(workers)), lag_s=lag_s)

    def progressed(self, lease: Lease, moved_bytes: int, through: int, now_s: float) -> None:
        """A lease has moved bytes since the last report about it, and so many of its requests have succeeded so far."""
        ended = max(0, min(through, lease.requests) - lease.through)
        lease.through += ended
        if moved_bytes > 0 or ended:
            # A lease that waited at its worker had its first turn since the worker told of all of them.
            since_s = max(lease.told_s, self._crew.workers[lease.worker].told_s)
            self._window.moved(since_s, now_s, max(0, moved_bytes), ended=ended)
            lease.told_s = now_s

    def over(self, lease: Lease, now_s: float) -> None:
        """A lease has ended, or its worker has died: what has not succeeded of it has failed."""
        if (failed := lease.requests - lease.through) > 0:
            self._window.let_go(now_s, failed)

    def broke(self, error: ErrorInfo, requests: int, outage: Outage, now_s: float) -> None:
        """Requests have failed like this; broken connections are a sign of crowding where the endpoint is not away."""
        if error.code == "NetworkError" and not outage.away and sign_of(error) in ("broken", "unreached"):
            for _ in range(requests):
                self._window.broke(now_s)
