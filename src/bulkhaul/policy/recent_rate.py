"""Tells how fast many objects are moved now, and how long the others will take.

Bytes are what takes the time of large objects, requests that of small ones: the slower of both tells the end.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_S: Final = 15.0
"""How far back the rate looks: long enough that an object of some GiB does not make it jump."""

SMALL_BYTES: Final = 256 * 1024
"""Objects up to this mean size take as long whatever their size: 10 ms of a request are 256 KiB at 25 MiB/s."""


class RecentRate:
    """The rates of the last seconds."""

    def __init__(self) -> None:
        self._seen = deque[tuple[float, int, int]]()

    def add(self, now_s: float, size_bytes: int, objects: int) -> None:
        """Take what is done by now."""
        self._seen.append((now_s, size_bytes, objects))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - WINDOW_S:
            self._seen.popleft()

    @property
    def bytes_per_s(self) -> float:
        """Bytes a second, 0 before anything is known."""
        return self._rate(1)

    @property
    def objects_per_s(self) -> float:
        """Objects a second, likewise."""
        return self._rate(2)

    def left_s(self, left_bytes: int, left_objects: int) -> float | None:
        """Return how long what is left will take, None where nothing tells.

        >>> rate = RecentRate()
        >>> rate.add(0.0, 0, 0)
        >>> rate.add(2.0, 100, 10)
        >>> rate.left_s(1000, 20), rate.left_s(0, 20)
        (20.0, 4.0)
        """
        small = left_bytes <= SMALL_BYTES * left_objects
        times = []
        if left_bytes > 0:
            times.append(left_bytes / self.bytes_per_s if self.bytes_per_s else None)
        if left_objects > 0 and (small or not left_bytes):
            times.append(left_objects / self.objects_per_s if self.objects_per_s else None)
        known = [one for one in times if one is not None]
        return max(known) if known else None if left_bytes > 0 or left_objects > 0 else 0.0

    def _rate(self, field: int) -> float:
        if len(self._seen) < 2:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        return max(0.0, last[field] - first[field]) / max(last[0] - first[0], 1e-3)
