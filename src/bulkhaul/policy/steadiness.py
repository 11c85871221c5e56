"""Decides which part of a run counts: from where throughput has no slope and its last windows lie within a band.

    rates     ▁▂▄▆█▇█▇██▇█▇█▇▂
    decided        └────────┘      warm-up before it, a last window that was cut short behind it

The warm-up ends where a straight line before, and a constant from there on, together fit best. A run that one line
fits better never was steady. If what follows the warm-up still rises or falls, later beginnings are tried, but half of
the run must be left: a run that was warming up for longer than it was steady has told too little.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from bulkhaul.policy.student import quantile

LEAST_WINDOWS = 5
"""A shorter run never counts as steady: a slope could not be told from noise."""

BAND = 0.10
"""Share of the mean by which the mean of the last windows may differ from it, if noise does not explain more."""

WIDEST_BAND = 0.25
"""What noise may explain at most; throughput that varies more is not steady."""

SLOPE = 0.05
"""Change from the first window to the last, as a share of the mean, that counts as none even if it is certain."""

_LIKELY, _CERTAIN = 0.975, 0.995
"""A slope of the part that is to count is one if chance alone brings about such a slope, up or down, in less than one
of twenty runs; a slope of all of the run, which nothing later can make good, in less than one of a hundred."""

_SIGMAS = 3.0

_FLOOR = 0.002
"""Noise that is assumed at least, as a share of the level: a run without any could not be fitted."""


def steady(rates: Sequence[float]) -> tuple[int, int] | None:
    """Return the steady part ``[first, end)`` of a run, None if it never was steady.

    Args:
        rates: throughput of windows of one length, in the order of time; of the last one, too, by its own length.

    >>> steady([1, 4, 8, 10, 10, 10, 10, 10, 10, 10, 10, 3])
    (3, 11)
    >>> steady([10, 10, 10, 10]) is None
    True
    """
    end = _end(rates)
    if end < LEAST_WINDOWS:
        return None
    least = max(LEAST_WINDOWS, math.ceil(end / 2))
    begins = _warm_up(rates, end, end - least)
    if begins is None:
        return None
    for first in range(begins, end - least + 1):
        part = rates[first:end]
        if sum(part) > 0 and not _slopes(part, _LIKELY) and _within_band(part):
            return first, end
    return None


def _end(rates: Sequence[float]) -> int:
    """Return where the run ends: before the last window if it differs from those before it by more than noise does."""
    end = len(rates)
    if end <= LEAST_WINDOWS:
        return end
    before = rates[end // 2 : end - 1]
    level = statistics.median(before)
    allowed = max(BAND * level, _SIGMAS * _noise(rates[: end - 1]))
    return end - 1 if abs(rates[-1] - level) > allowed else end


def _warm_up(rates: Sequence[float], end: int, most: int) -> int | None:
    """Return how many windows a warm-up takes that explains the run better than none does, at most so many.

    Models are compared by their Schwarz criterion; a warm-up has three parameters: its slope, its height, its end.

    Returns:
        None if one slope over all of the run explains it better than that.
    """
    level = statistics.median(rates[end // 2 : end])
    floor = (_FLOOR * level) ** 2 or 1.0
    weight = math.log(end)
    before, behind = _line_errors(rates, end), _constant_errors(rates, end)
    best, best_cost = 0, end * math.log(behind[0] / end + floor)
    for first in range(1, most + 1):
        cost = end * math.log((before[first] + behind[first]) / end + floor) + 3 * weight
        if cost < best_cost:
            best, best_cost = first, cost
    slope_cost = end * math.log(before[end] / end + floor) + weight
    return None if slope_cost < best_cost and _slopes(rates[:end], _CERTAIN) else best


def _line_errors(rates: Sequence[float], end: int) -> list[float]:
    """Return, for each number of windows from the beginning, the squared distances from the line that fits best."""
    errors = [0.0]
    mean_x = mean_y = xx = yy = xy = 0.0
    for n, y in enumerate(rates[:end], 1):
        x = float(n)
        off_x, off_y = x - mean_x, y - mean_y
        mean_x += off_x / n
        mean_y += off_y / n
        xx += off_x * (x - mean_x)
        yy += off_y * (y - mean_y)
        xy += off_x * (y - mean_y)
        errors.append(max(0.0, yy - xy * xy / xx) if xx else 0.0)
    return errors


def _constant_errors(rates: Sequence[float], end: int) -> list[float]:
    """Return, for each beginning, the squared distances from the mean of all that follows."""
    errors, mean = [0.0] * (end + 1), 0.0
    for n, at in enumerate(range(end - 1, -1, -1), 1):
        off = rates[at] - mean
        mean += off / n
        errors[at] = errors[at + 1] + off * (rates[at] - mean)
    return errors


def _slopes(part: Sequence[float], probability: float) -> bool:
    """Return whether a part rises or falls, by more than ``SLOPE`` and by more than chance explains."""
    n = len(part)
    mean = statistics.fmean(part)
    xx = n * (n * n - 1) / 12
    slope = sum((x - (n - 1) / 2) * y for x, y in enumerate(part)) / xx
    if abs(slope) * (n - 1) <= SLOPE * mean:
        return False
    left = sum((y - mean - slope * (x - (n - 1) / 2)) ** 2 for x, y in enumerate(part))
    return abs(slope) > quantile(probability, n - 2) * math.sqrt(left / (n - 2) / xx)


def _within_band(part: Sequence[float]) -> bool:
    """Return whether the last windows of a part are, together, where its mean is."""
    mean = statistics.fmean(part)
    last = part[-max(LEAST_WINDOWS, len(part) // 4) :]
    by_chance = _SIGMAS * _noise(part) / math.sqrt(len(last)) / mean
    if by_chance > WIDEST_BAND:
        return False
    return abs(statistics.fmean(last) - mean) <= max(BAND, by_chance) * mean


def _noise(rates: Sequence[float]) -> float:
    """Return the standard deviation of the noise, from what changes from one window to the next: no slope adds to it.

    Source: the median of absolute normal deviations is 0.6745 standard deviations; a difference has twice the variance.
    """
    return statistics.median(abs(b - a) for a, b in itertools.pairwise(rates)) / (0.6745 * math.sqrt(2))


__all__ = ["BAND", "LEAST_WINDOWS", "SLOPE", "WIDEST_BAND", "steady"]
