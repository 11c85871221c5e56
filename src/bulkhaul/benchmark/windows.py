"""Keeps the windows of a run, however long it is, in bounded memory: when there are too many, two become one.

1 s a window up to an hour ─▶ 2 s up to two hours ─▶ 4 s … ─▶ 256 s in a week
"""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import numpy.typing as npt

from bulkhaul.benchmark.results import Window

MOST = 3600
"""Windows of a run: a figure is not so wide, and whether a run was steady is known from less."""

STEPS = 64
"""Bins of latencies an octave: percentiles of windows are exact to 1.1 %. Those of whole runs come from histograms."""

BINS = 36 * STEPS
"""Up to 2 ** 36 us, which is 19 hours."""

Counts = npt.NDArray[np.int64]


class _Kept(msgspec.Struct):
    """A window, and its latencies.

    Attributes:
        places, counts: of its bins that are not empty.
    """

    window: Window
    places: Counts
    counts: Counts


class Windows:
    """The windows of a run, one after the other; all are of one length, but the last one."""

    def __init__(self) -> None:
        self._kept: list[_Kept] = []
        self._length_s = 1.0

    def add(self, window: Window, bins: Counts) -> None:
        """Take the next second.

        Args:
            bins: int64[BINS], its latencies.
        """
        places = np.flatnonzero(bins)
        one = _Kept(window, places, bins[places])
        if self._kept and self._kept[-1].window.length_s < self._length_s:
            one = _together(self._kept.pop(), one)
        self._kept.append(one)
        if len(self._kept) > MOST:
            self._length_s *= 2
            pairs = [self._kept[at : at + 2] for at in range(0, len(self._kept), 2)]
            self._kept = [pair[0] if len(pair) == 1 else _together(*pair) for pair in pairs]

    def all(self) -> list[Window]:
        """Return them, in order."""
        return [_told(one) for one in self._kept]


def length_of(seconds: int) -> int:
    """Return how long the windows of a run are that took so many seconds.

    >>> [length_of(seconds) for seconds in (1, 3600, 3601, 7200, 7 * 24 * 3600)]
    [1, 1, 2, 2, 256]
    """
    return next(length for length in (1 << at for at in itertools.count()) if -(-seconds // length) <= MOST)


def percentile_ms(places: Counts, counts: Counts, part: float) -> float:
    """Return the latency within which a part of all ended, 0 if there are none.

    Args:
        places, counts: bins in order, and how many are in each.
    """
    if not len(counts):
        return 0.0
    sums = np.cumsum(counts)
    return middle_ms(int(places[np.searchsorted(sums, part * sums[-1])]))


def middle_ms(place: int) -> float:
    """Return the latency in the middle of a bin."""
    middle_us: float = 2.0 ** ((place + 0.5) / STEPS)
    return round(middle_us / 1000, 4)


def _together(one: _Kept, other: _Kept) -> _Kept:
    """Return two windows that follow each other as one; its percentiles are read when it is told."""
    a, b = one.window, other.window
    length_s = a.length_s + b.length_s
    bins = np.zeros(BINS, dtype=np.int64)
    bins[one.places] += one.counts
    bins[other.places] += other.counts
    window = Window(
        at_s=a.at_s,
        length_s=length_s,
        done={name: a.done.get(name, 0) + b.done.get(name, 0) for name in {**a.done, **b.done}},
        moved_bytes={
            name: a.moved_bytes.get(name, 0) + b.moved_bytes.get(name, 0) for name in {**a.moved_bytes, **b.moved_bytes}
        },
        failed=a.failed + b.failed,
        p50_ms=0.0,
        p99_ms=0.0,
        cpu=round((a.cpu * a.length_s + b.cpu * b.length_s) / length_s, 4),
        lag_ms=max(a.lag_ms, b.lag_ms),
        in_flight=b.in_flight,
        waiting=b.waiting,
    )
    places = np.flatnonzero(bins)
    return _Kept(window, places, bins[places])


def _told(one: _Kept) -> Window:
    p50_ms, p99_ms = (percentile_ms(one.places, one.counts, part) for part in (0.50, 0.99))
    return msgspec.structs.replace(one.window, p50_ms=p50_ms, p99_ms=p99_ms)


__all__ = ["BINS", "MOST", "STEPS", "Windows", "length_of", "middle_ms", "percentile_ms"]
