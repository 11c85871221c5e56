"""Counts bytes and objects over time, in at most ``MAX_SLICES`` slices of equal width, whatever the span.

A slice is as many seconds wide as the smallest power of two for which so many slices hold all instants. The bytes of an
object are spread over the time that it took, so that a large one is no peak at its end. The slices follow from the
set of objects alone, not from their order, and they add up exactly.
"""

from __future__ import annotations

import math

import msgspec

MAX_SLICES = 120
"""What a chart of 600 px still shows one by one."""

_MICRO = 1_000_000


class Slice(msgspec.Struct, frozen=True):
    """What ended, and what moved, in ``[start_s, start_s + width)``; seconds since the epoch."""

    start_s: int
    size_bytes: int
    objects: int


class Throughput:
    """Counts what moved when."""

    def __init__(self) -> None:
        self.width_s = 1
        self._slices: dict[int, list[int]] = {}
        self._first = self._last = 0

    def add(self, size_bytes: int, seconds: float, ended_s: float) -> None:
        """Count one object that took ``seconds`` until ``ended_s``; one whose end nobody knows (0) counts nowhere."""
        if not (ended_s > 0 and math.isfinite(ended_s)):
            return
        end = int(ended_s * _MICRO)
        start = end - int(seconds * _MICRO) if 0 < seconds < ended_s else end
        self._make_room(start, end)
        width = self.width_s * _MICRO
        first, last = start // width, end // width
        self._slice(last)[1] += 1
        if first == last:
            self._slices[last][0] += size_bytes
            return
        told = 0
        for index in range(first, last + 1):
            until = size_bytes * (min((index + 1) * width, end) - start) // (end - start)
            self._slice(index)[0] += until - told
            told = until

    def slices(self) -> tuple[Slice, ...]:
        """Return all slices from the first to the last, empty ones included."""
        if not self._slices:
            return ()
        low, high = min(self._slices), max(self._slices)
        told = (self._slices.get(index, (0, 0)) for index in range(low, high + 1))
        return tuple(Slice((low + at) * self.width_s, size, objects) for at, (size, objects) in enumerate(told))

    def _make_room(self, start: int, end: int) -> None:
        if not self._slices:
            self._first, self._last = start, end
        self._first, self._last = min(self._first, start), max(self._last, end)
        doublings = 0
        width = self.width_s * _MICRO
        while self._last // width - self._first // width >= MAX_SLICES:
            doublings, width = doublings + 1, width * 2
        if doublings:
            finer, self._slices = self._slices, {}
            self.width_s <<= doublings
            for index, (size, objects) in finer.items():
                wider = self._slice(index >> doublings)
                wider[0] += size
                wider[1] += objects

    def _slice(self, index: int) -> list[int]:
        return self._slices.setdefault(index, [0, 0])
