"""Remembers at which size the service last asked for less, and how the window goes back up to it.

    storm at 64 ─▶ soft ceiling 60, window 48 ─▶ within a second 60 ─2 s─▶ 62 ─▶ 63 ─pause─▶ 64 ─▶ 65, 67, 71, 79 …

A cut that is deep and slow to mend costs more than the storm; a quick return to the same size brings the next storm.
So the window falls at once, returns at once to a little less, and creeps up to where the storm came. If nothing
happens there, the ceiling rises faster and faster: the storm was of another time.

Source: CUBIC (RFC 9438): concave up to the size of the last loss, flat there, convex beyond.
"""

from __future__ import annotations

HOLD_S = 0.5
"""After a cut, further signals are of the same storm for so long."""

ALONE_S = 4.0
"""A storm so long after the last one has found the edge: two rises lead back there. A sooner one says that the window
is still far above it."""

EDGE = 0.93
"""The share of the size at the edge that is borne."""

FALL = 0.8
"""How far below that the window falls, so that what has piled up can drain."""

FIRST_PAUSE_S = 2.0
PAUSE_MOST_S = 16.0
"""Pauses between two rises, in seconds. Those near the edge double with each storm that found it, up to the second."""


class SoftCeiling:
    """Where the last storm came, if one did.

    Attributes:
        size: the most that the window may be now; infinite while there was no storm.
        target: where the window returns to at once; 0 when it has.
        cut_s: instant of the last cut.
    """

    __slots__ = ("_next_s", "_pause_s", "_rise", "_storm", "cut_s", "size", "target")

    def __init__(self) -> None:
        self.size = float("inf")
        self.target = 0
        self.cut_s = float("-inf")
        self._storm = 0  # the size that it came at
        self._rise = 1.0
        self._next_s = 0.0
        self._pause_s = FIRST_PAUSE_S

    def hears(self, now_s: float) -> bool:
        """Whether a signal is of another storm than the last."""
        return now_s - self.cut_s >= HOLD_S

    def cut(self, now_s: float, under_way: int, accepted: float) -> int:
        """Take a storm and return the window's size.

        Args:
            under_way: requests that were in flight.
            accepted: share of them that was not refused, as far as that is known.
        """
        alone = now_s - self.cut_s > ALONE_S
        self.size = max(1.0, under_way * (EDGE if alone else accepted))
        self.target, self._storm, self.cut_s = round(self.size), under_way, now_s
        if alone:
            self._pause_s = min(PAUSE_MOST_S, 2 * self._pause_s)
        self._rise, self._next_s = 1.0, now_s + FIRST_PAUSE_S
        return max(1, min(under_way - 1, int(FALL * self.size)))

    def rise(self, now_s: float, ceiling: int) -> None:
        """Time has passed: rise if it is due. At the window's own ceiling, the storm is forgotten."""
        if now_s < self._next_s or self.size >= ceiling:
            return
        if self.size < self._storm - 1:
            self.size += max(1.0, (self._storm - self.size) / 2)
        else:
            self.size += self._rise
            self._rise *= 2
        edge = self._rise == 1.0 and self.size >= 0.97 * self._storm - 1
        self._next_s = now_s + (self._pause_s if edge else FIRST_PAUSE_S)
        self.target = min(round(self.size), self._storm)
        if self.size >= ceiling:
            self.size = float("inf")
