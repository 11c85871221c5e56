"""Counts how long requests took in HDR histograms, reads percentiles from them, and merges them exactly.

ns of many requests ─▶ record ─▶ histogram ─▶ latencies ─▶ Latencies ─▶ merged, over runs, operations or sizes
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.results import Latencies
from bulkhaul.model.errors import UsageError

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram

LEAST_US, MOST_US = 1, 3_600_000_000
"""What is shorter or longer counts as this: a microsecond, and an hour."""

DIGITS = 3
"""A value is kept to within a thousandth of itself."""


def histogram() -> HdrHistogram:
    """Return an empty histogram of microseconds.

    Raises:
        UsageError: hdrhistogram is not installed.
    """
    require("hdrh")
    from hdrh.histogram import HdrHistogram

    return HdrHistogram(LEAST_US, MOST_US, DIGITS)


def record(counted: HdrHistogram, took_ns: npt.NDArray[np.int64]) -> None:
    """Count many at once.

    Args:
        took_ns: int64[n], in any order.
    """
    took_us = np.clip(np.rint(took_ns / 1000), LEAST_US, MOST_US).astype(np.int64)
    starts, _ = _slots()
    kept_us = starts[np.searchsorted(starts, took_us, side="right") - 1]  # few values: each is recorded by a call
    values, counts = np.unique(kept_us, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        counted.record_value(value, count)


def latencies(counted: HdrHistogram) -> Latencies:
    """Return what a histogram says; all is 0 where nothing was counted."""
    percentiles = (50.0, 90.0, 99.0, 99.9)
    values_us = counted.get_percentile_to_value_dict(percentiles) if counted.total_count else {}
    p50_ms, p90_ms, p99_ms, p999_ms = (values_us.get(percentile, 0) / 1000 for percentile in percentiles)
    starts, widths = _slots()
    sum_us = float(_counts(counted) @ (starts + widths // 2))  # get_mean_value() takes half a second
    return Latencies(
        count=counted.total_count,
        mean_ms=sum_us / max(counted.total_count, 1) / 1000,
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        p999_ms=p999_ms,
        max_ms=counted.get_max_value() / 1000,
        histogram=counted.encode().decode("ascii"),
    )


def percentiles(measured: Latencies, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the times within which so many of all ended, in ms: float64[n]; at least one must have been counted.

    Args:
        shares: float64[n], of 100.
    """
    counted = decoded(measured)
    ranks = np.maximum(np.floor(shares * counted.total_count / 100 + 0.5), 1)
    starts, widths = _slots()
    at = np.searchsorted(np.cumsum(_counts(counted)), ranks)
    highest_us: npt.NDArray[np.int64] = starts + widths - 1
    found_ms: npt.NDArray[np.float64] = highest_us[at] / 1000
    return found_ms


def decoded(measured: Latencies) -> HdrHistogram:
    """Return the histogram of latencies.

    Raises:
        UsageError: hdrhistogram is not installed, or the text of the histogram is damaged.
    """
    require("hdrh")
    from hdrh.histogram import HdrHistogram

    try:
        counted = HdrHistogram.decode(measured.histogram)
    except Exception as error:  # of base64, zlib, struct or its own, whatever the damage meets first
        cause = f"{type(error).__name__}: {error}"
        raise UsageError("the result is damaged: a histogram of it cannot be read", cause=cause) from error
    if counted.total_count != measured.count:
        text = f"the result is damaged: a histogram of it counts {counted.total_count} requests, not {measured.count}"
        raise UsageError(text)
    return counted


def merged(several: Iterable[Latencies]) -> Latencies:
    """Return the latencies of all together: the same as if they had been counted in one histogram."""
    together = histogram()
    for one in several:
        together.add(decoded(one))
    return latencies(together)


@functools.cache
def _slots() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the least value that each counter of a histogram counts, and how many values it counts."""
    counted = histogram()
    starts = np.array([counted.get_value_from_index(index) for index in range(counted.counts_len)], dtype=np.int64)
    return starts, np.diff(starts, append=2 * starts[-1] - starts[-2])


def _counts(counted: HdrHistogram) -> npt.NDArray[np.uint64]:
    return np.frombuffer(counted.counts, dtype=np.uint64)


__all__ = ["DIGITS", "LEAST_US", "MOST_US", "decoded", "histogram", "latencies", "merged", "percentiles", "record"]
