"""Tells how busy a worker's process is: its share of a CPU, and how late its loop comes to what is due."""

from __future__ import annotations

import time

from bulkhaul.engine.messages.messages import Load


class LoadMeter:
    """The load of this process, from one heartbeat to the next."""

    def __init__(self) -> None:
        self._seen_s = 0.0
        self._used_s = time.process_time()
        self._lag_s = 0.0

    def came_late(self, lag_s: float) -> None:
        """The loop came so late to a report; the longest delay since the last heartbeat counts."""
        self._lag_s = max(self._lag_s, lag_s)

    def load(self, now_s: float) -> Load:
        """Return the load since the last call; the first one returns none."""
        used_s = time.process_time()
        elapsed_s = now_s - self._seen_s if self._seen_s else 0.0
        share = (used_s - self._used_s) / elapsed_s if elapsed_s > 0 else 0.0
        self._seen_s, self._used_s = now_s, used_s
        lag_s, self._lag_s = self._lag_s, 0.0
        return Load(share, lag_s)
