"""Adds up how long replies took to begin, over all connections of a worker, from one report to the next."""

from __future__ import annotations


class FirstBytes:
    """Times to first byte, from the last byte of a request to the head of a reply that reports success.

    Attributes:
        count: replies since the last ``take``.
        sum_s: their times, added up.
    """

    __slots__ = ("count", "sum_s")

    def __init__(self) -> None:
        self.count = 0
        self.sum_s = 0.0

    def note(self, ttfb_s: float) -> None:
        """A reply has begun; every small object passes here, so nothing is allocated."""
        self.count += 1
        self.sum_s += ttfb_s

    def take(self) -> tuple[int, float]:
        """Return both, and begin anew."""
        taken = self.count, self.sum_s
        self.count, self.sum_s = 0, 0.0
        return taken
