"""Spreads bytes over time, for all bodies of one worker together; it must not know connections or who waits."""

from __future__ import annotations

import threading
import time

PIECES_PER_S = 16
"""Into how many pieces a second's bytes are cut at least: a body that waits for its turn waits for short ones."""

SAVED_S = 0.25
"""How much time without a byte is made up for, so that short delays do not add up to a lower rate."""


class Throttle:
    """A rate that is shared: whoever has moved bytes learns how long to pause. For any thread.

    Attributes:
        piece_bytes: the most to move before asking.
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
        """Return for how many seconds no more may be moved by whoever has moved ``count`` bytes."""
        with self._lock:
            now_s = time.monotonic()
            self._busy_until_s = max(self._busy_until_s, now_s - SAVED_S) + count / self._bytes_per_s
            return max(0.0, self._busy_until_s - now_s)
