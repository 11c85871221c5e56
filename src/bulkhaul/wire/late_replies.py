"""Finds the GETs of a worker whose replies are late, at the ticks of its watcher, and gives twins to some of them.

How long is late, and what the budget of twins is, says ``policy/hedging.py``; here is what it is told. None is begun
while the service is in trouble, or while this process comes late to its own ticks: then the reply may be here already.
"""

from __future__ import annotations

import time

from bulkhaul.model.open_files import descriptors
from bulkhaul.policy.hedging import Hedging
from bulkhaul.wire.classify import OVERLOADED
from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import TransportError

CALM_S = 5.0
"""No twin for so long after a refusal for load, or a broken connection: twins are load."""

MOST_LAG_S = 0.25
"""An event loop that comes later than this has no time for twins. It is a tick of the watcher."""

MOST_TWINS = 32
"""Twins that wait at a time, each with a connection beside the two descriptors of its GET: a quarter of the
``spare_descriptors`` of ``policy.window.ceiling_of``."""

TWINS_OF_DESCRIPTORS = 8
"""One twin for so many files that a process may open. Under a low limit half of the files are spared, and twins take a
quarter of these."""

_TROUBLES = frozenset({"Throttled", "NetworkError"})


class LateReplies:
    """What one worker knows of the time to first byte, and of the trouble that its service is in.

    Attributes:
        note: takes the time from the first request of a GET to the reply that is taken, in seconds. It is the policy's
            own method, for every small object calls it.
        twins: those whose replies have not begun.
        most_twins: as many as there may be.
    """

    def __init__(self) -> None:
        self._hedging = Hedging()
        self.note = self._hedging.note
        self._troubled_s = float("-inf")
        self._after_s = 0.0
        self._lags = False
        self._calm = True
        self.twins = 0
        self.most_twins = min(MOST_TWINS, descriptors() // TWINS_OF_DESCRIPTORS)

    def saw(self, error: BaseException) -> None:
        """A request has ended with an error."""
        if isinstance(error, TransportError):
            troubled = error.info.code in _TROUBLES
        else:
            idle = isinstance(error, ConnectionClosed) and error.stale  # closed while it was idle
            troubled = isinstance(error, ConnectionError | TimeoutError) and not idle
        if troubled:
            self._troubled_s = time.monotonic()

    def saw_status(self, status: int) -> None:
        """A reply other than one of success has come."""
        if status in OVERLOADED:
            self._troubled_s = time.monotonic()

    def begin_look(self, now_s: float, *, lag_s: float) -> None:
        """Begin a look at all connections; this one came so late."""
        self._after_s = self._hedging.after_s()
        self._lags = lag_s >= MOST_LAG_S
        self._calm = now_s - self._troubled_s >= CALM_S

    def look(self, connection: Connection, watch: Watch, now_s: float) -> None:
        """Look at one connection; a GET whose reply is late may get its twin: the first look in time decides."""
        if self._lags or watch.late is None or watch.silent_s(connection, now_s) < self._after_s:
            return
        late, watch.late = watch.late, None
        if self._hedging.take(calm=self._calm and self.twins < self.most_twins):
            late()
