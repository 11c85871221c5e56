"""Makes axes that several figures have."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bulkhaul.benchmark.report.words import milliseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def latency_axis(axes: Axes, least_ms: float, most_ms: float) -> None:
    """Make the upright axis one of times, logarithmic, with several labels even within a decade."""
    from matplotlib.ticker import LogLocator, NullLocator

    if not 0 < least_ms <= most_ms:
        least_ms, most_ms = 1.0, 10.0
    axes.set_yscale("log")
    axes.set_ylim(least_ms / 1.3, most_ms * 1.3)
    decades = math.log10(most_ms / least_ms)
    steps = (1.0, 2.0, 5.0) if decades < 1.7 else (1.0, 3.0) if decades < 3.5 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.yaxis.set_major_formatter(lambda value, _: milliseconds(value))
    axes.yaxis.set_minor_locator(NullLocator())
