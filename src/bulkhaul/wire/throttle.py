"""Keeps the bodies of one worker, all together, within a rate of bytes per second."""

from __future__ import annotations

import threading
import time

PIECES_PER_S = 16
"""At least so many pieces are cut from a second's bytes, so that a waiting body waits only for short ones."""

SAVED_S = 0.25
"""Idle time that may be made up for, so that short delays do not add up to a lower rate."""


class Throttle:
    """A rate that bodies share: each reports the bytes it has moved, and is told how long to pause. Thread-safe.

    Attributes:
        piece_bytes: the most bytes to move before the next report.
    """

    def __init__(self, bytes_per_s: int, connections: int) -> None:
        """Begin with nothing saved.

        Args:
            connections: that share the rate; each gets a piece a second at least.
        """
        self.piece_bytes = max(1, bytes_per_s // max(PIECES_PER_S, connections))
        self._bytes_per_s = bytes_per_s
        self._busy_until_s = time.monotonic()
        self._lock = threading.Lock()

    def moved(self, count: int) -> float:
        """Take note of ``count`` bytes moved, and return how many seconds the mover has to pause."""
        with self._lock:
            now_s = time.monotonic()
            self._busy_until_s = max(self._busy_until_s, now_s - SAVED_S) + count / self._bytes_per_s
            return max(0.0, self._busy_until_s - now_s)
