"""Decides whether repeats of two measurements differ by more than repeats of one do, and by how much.

    ratio of B to A  =  geometric mean of B's repeats / that of A's
    its interval     =  the wider of Student's and Welch's t intervals of the difference of logarithms;
                        of pairs, Student's t interval of the logarithms of their ratios

With a few repeats a side a percentile bootstrap is too narrow: three values do not show how far others may lie.
Student's t allows for that, and Welch's for sides that scatter differently. Welch's alone is too narrow where three
repeats, which lie close together by chance, are set against ten.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from bulkhaul.model.errors import UsageError
from bulkhaul.policy.student import quantile

CONFIDENCE = 0.975
"""How often all intervals of a comparison hold together: of 100 comparisons without a difference no more than 5 may
raise an alarm, and at 0.95 that would be so only in the mean."""

LEAST_SCATTER = 0.001
"""Relative standard deviation of repeats that is assumed at least: histograms keep three digits."""

_WIDEST = 600.0
"""Logarithm of the factor that an interval reaches at most: a float goes to e^709, and so wide a one tells nothing."""

BLOCKS = 10
"""Parts that a single run is cut into: seconds that follow one another are alike, parts of several seconds less so."""

LEAST_BLOCKS = 3

Word = Literal["faster", "slower", "no difference", "unknown"]


class Interval(msgspec.Struct, frozen=True):
    """The ratio of two measurements, and between which values it lies."""

    ratio: float
    low: float
    high: float


def ratio_interval(base: Sequence[float], other: Sequence[float], confidence: float) -> Interval | None:
    """Return by what factor a measurement differs from another.

    Args:
        base, other: values of independent repeats, all above 0.
        confidence: how often the interval holds what repeats without end would show.

    Returns:
        None where each side has one value only: nothing tells how far repeats scatter. Where one side has one, both are
        taken to scatter alike.
    """
    a, b = [math.log(value) for value in base], [math.log(value) for value in other]
    freedom = len(a) + len(b) - 2
    if not freedom:
        return None
    likely = (1 + confidence) / 2
    pooled = max((_squares(a) + _squares(b)) / freedom, LEAST_SCATTER**2)
    reach = quantile(likely, freedom) * math.sqrt(pooled * (1 / len(a) + 1 / len(b)))
    if min(len(a), len(b)) > 1:
        of_a, of_b = (max(_squares(one) / (len(one) - 1), LEAST_SCATTER**2) / len(one) for one in (a, b))
        # Source: Welch-Satterthwaite.
        welch = (of_a + of_b) ** 2 / (of_a**2 / (len(a) - 1) + of_b**2 / (len(b) - 1))
        reach = max(reach, quantile(likely, welch) * math.sqrt(of_a + of_b))
    return _interval(statistics.fmean(b) - statistics.fmean(a), reach)


def paired_interval(base: Sequence[float], other: Sequence[float], confidence: float) -> Interval | None:
    """Return by what factor a measurement differs from another, where each value of one belongs to one of the other.

    What disturbs both values of a pair alike is not in their ratio, so pairs show smaller differences.

    Args:
        base, other: values of as many repeats, all above 0, in the order of the pairs.
        confidence: how often the interval holds what pairs without end would show.

    Returns:
        None of a single pair: nothing tells how far pairs scatter.
    """
    ratios = [math.log(b / a) for a, b in zip(base, other, strict=True)]
    freedom = len(ratios) - 1
    if not freedom:
        return None
    variance = max(_squares(ratios) / freedom, LEAST_SCATTER**2)
    return _interval(
        statistics.fmean(ratios), quantile((1 + confidence) / 2, freedom) * math.sqrt(variance / len(ratios))
    )


def _interval(middle: float, reach: float) -> Interval:
    """Return the interval of a logarithm's middle and reach."""
    reach = min(reach, _WIDEST)
    return Interval(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


def _squares(values: Sequence[float]) -> float:
    """Return the sum of squared distances from the mean."""
    mean = statistics.fmean(values)
    return sum((value - mean) ** 2 for value in values)


def confidence_of_each(intervals: int) -> tuple[float, float]:
    """Return what the first of several intervals must hold by, and each other, so that all hold by ``CONFIDENCE``.

    The first is what a reader looks for first: it has half of the risk, the others share the other half (Bonferroni).

    >>> [round(one, 5) for one in confidence_of_each(6)]
    [0.9875, 0.9975]
    >>> confidence_of_each(1)[0] == CONFIDENCE
    True
    """
    risk = 1 - CONFIDENCE
    if intervals <= 1:
        return CONFIDENCE, CONFIDENCE
    return 1 - risk / 2, 1 - risk / 2 / (intervals - 1)


def word_of(interval: Interval | None, *, more_is_better: bool) -> Word:
    """Return what an interval says of the second measurement.

    >>> word_of(Interval(0.9, 0.85, 0.95), more_is_better=True)
    'slower'
    >>> word_of(Interval(0.9, 0.85, 0.95), more_is_better=False)
    'faster'
    >>> word_of(Interval(0.9, 0.75, 1.05), more_is_better=True)
    'no difference'
    """
    if interval is None:
        return "unknown"
    if interval.low <= 1 <= interval.high:
        return "no difference"
    return "faster" if (interval.ratio > 1) == more_is_better else "slower"


def loss(ratio: float, *, more_is_better: bool) -> float:
    """Return by which share a measurement got worse, below 0 if it got better.

    >>> round(loss(0.9, more_is_better=True), 3), round(loss(1.1, more_is_better=False), 3)
    (0.1, 0.1)
    """
    return 1 - ratio if more_is_better else ratio - 1


def blocks(values: Sequence[float]) -> list[float] | None:
    """Return the means of consecutive parts of a run, in place of repeats; None if it is too short.

    >>> blocks([1, 3, 5, 7, 9, 11])
    [2.0, 6.0, 10.0]
    """
    count = min(BLOCKS, len(values) // 2)
    if count < LEAST_BLOCKS:
        return None
    bounds = [len(values) * at // count for at in range(count + 1)]
    return [statistics.fmean(values[start:end]) for start, end in itertools.pairwise(bounds)]


def parse_threshold(text: str) -> float:
    """Return the share that a threshold such as ``5%`` stands for.

    >>> parse_threshold("5%"), parse_threshold("2.5 %"), parse_threshold("10")
    (0.05, 0.025, 0.1)

    Raises:
        UsageError: it is none from 0 to 100.
    """
    try:
        percent = float(text.strip().removesuffix("%"))
    except ValueError:
        percent = math.nan
    if not 0 <= percent <= 100:
        raise UsageError(f"{text!r} is no threshold; write a percentage such as 5%")
    return percent / 100


__all__ = [
    "CONFIDENCE",
    "Interval",
    "Word",
    "blocks",
    "confidence_of_each",
    "loss",
    "paired_interval",
    "parse_threshold",
    "ratio_interval",
    "word_of",
]
