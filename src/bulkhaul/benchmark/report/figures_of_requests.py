"""Draws what requests were like, the whole runs over: latencies, sizes, connections, and what took their time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bulkhaul.benchmark.latencies import percentiles
from bulkhaul.benchmark.report.axes import latency_axis
from bulkhaul.benchmark.report.drawing import SERIES, SOFT, Figure
from bulkhaul.benchmark.report.tables import Gathered, connection_rates
from bulkhaul.benchmark.report.words import milliseconds, named, number, percent, size_name
from bulkhaul.benchmark.results import Latencies, Run
from bulkhaul.model.limits import MIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 120
"""Points of a line of percentiles."""

LEAST_SHARE = 0.005
"""What took less of the time of every run is not drawn."""

_MOST_NINES = 6
"""The axis ends at 99.9999 %, or where a single request is left beyond."""


def latency_figures(parts: Sequence[Gathered]) -> tuple[Figure, ...]:
    """Return the distributions of each operation: until the first byte and the end, a line for each class of sizes."""
    figures = []
    for name in dict.fromkeys(one.operation for one in parts):
        own = [one for one in parts if one.operation == name]
        first = {size_name(one): one.first_byte for one in own if one.first_byte is not None and one.first_byte.count}
        whole = {size_name(one): one.whole for one in own if one.whole.count}
        if len(whole) == 1:
            lines = dict(zip(("first byte",), first.values(), strict=False))
            lines["whole request"] = next(iter(whole.values()))
            figures.append(_distribution(f"distribution-{name}", f"{name.upper()}: latency by percentile", lines))
            continue
        for kind, title, lines in (("first-byte", "time to first byte", first), ("whole", "whole request", whole)):
            if lines:
                heading = f"{name.upper()}: {title} by percentile"
                figures.append(_distribution(f"distribution-{name}-{kind}", heading, lines))
    return tuple(figures)


def _distribution(name: str, title: str, lines: dict[str, Latencies]) -> Figure:
    most = max(told.count for told in lines.values())
    nines = min(max(float(np.log10(most)), 1.0), _MOST_NINES)
    drawn = {label: _percentile_line(told, nines) for label, told in lines.items()}

    def draw(axes: Axes) -> None:
        for at, (label, (x, y)) in enumerate(drawn.items()):
            axes.plot(x, y, label=label, color=SERIES[at % len(SERIES)])
        values = np.concatenate([y for _, y in drawn.values()])
        latency_axis(axes, float(values.min()), float(values.max()))
        axes.set_xlim(0, nines)
        ticks = [float(np.log10(2)), *range(1, int(nines) + 1)]
        axes.set_xticks(ticks, [_percentile_name(tick) for tick in ticks])
        axes.grid(visible=True, axis="x")

    said = "; ".join(
        f"{label}: median {milliseconds(told.p50_ms)}, 90 % within {milliseconds(told.p90_ms)}, 99 % within"
        f" {milliseconds(told.p99_ms)}, longest {milliseconds(told.max_ms)}"
        for label, told in lines.items()
    )
    return Figure(name, title, f"{said}.", draw)


def _percentile_line(told: Latencies, nines: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how many nines (90 % is one, 99 % are two), and the time in ms within which that share ended."""
    x = np.linspace(0, min(nines, float(np.log10(max(told.count, 10)))), POINTS)
    return x, percentiles(told, 100 * (1 - 10**-x))


def _percentile_name(nines: float) -> str:
    return f"{100 * (1 - 10**-nines):.6g} %"


def size_figures(parts: Sequence[Gathered]) -> tuple[Figure, ...]:
    """Return latency by class of sizes, if there are several."""
    own = [one for one in parts if one.operation in ("get", "put") and one.whole.count]
    classes = sorted({one.size_class for one in own})
    if len(classes) < 2:
        return ()
    operations = list(dict.fromkeys(one.operation for one in own))
    names = {one.size_class: size_name(one) for one in own}

    def draw(axes: Axes) -> None:
        for at, operation in enumerate(operations):
            several = [one for one in own if one.operation == operation]
            x = [classes.index(one.size_class) + 0.16 * (at - (len(operations) - 1) / 2) for one in several]
            low, high = [one.whole.p50_ms for one in several], [one.whole.p99_ms for one in several]
            axes.vlines(x, low, high, color=SERIES[at], linewidth=3)
            axes.plot(x, low, "o", color=SERIES[at], markersize=7, label=operation.upper())
            axes.plot(x, high, "_", color=SERIES[at], markersize=11, markeredgewidth=2)
        times = [time_ms for one in own for time_ms in (one.whole.p50_ms, one.whole.p99_ms)]
        latency_axis(axes, min(times), max(times))
        axes.set_xlim(-0.5, len(classes) - 0.5)
        axes.set_xticks(range(len(classes)), [names[one].replace(" to ", " to\n") for one in classes])

    said = "; ".join(
        f"{one.operation.upper()} {size_name(one)}: median {milliseconds(one.whole.p50_ms)}, 99 % within"
        f" {milliseconds(one.whole.p99_ms)}"
        for one in own
    )
    return (Figure("sizes", "Whole request by size: median (dot) to 99 % (bar)", f"{said}.", draw),)


def connection_figures(runs: Sequence[Run], shown: int) -> tuple[Figure, ...]:
    """Return the rates of connections, the slowest first; of so many runs at most."""
    told = [(run.number, *connection_rates(run.connections)) for run in runs[:shown]]
    figures = []
    for unit, scale in (("MiB/s", MIB), ("requests/s", 1)):
        lines = {f"run {number_}": np.array(rates) / scale for number_, rates, own in told if own == unit and rates}
        if not lines:
            continue
        said = "; ".join(
            f"{label}: {len(rates)} connections, from {number(float(rates[0]))} to {number(float(rates[-1]))} {unit},"
            f" median {number(float(np.median(rates)))}"
            for label, rates in lines.items()
        )
        title = f"Connections from the slowest to the fastest, {unit}"
        name = f"connections-{unit.partition('/')[0].lower()}"
        figures.append(Figure(name, title, f"{said}.", _drawn_rates(lines)))
    return tuple(figures)


def _drawn_rates(lines: dict[str, npt.NDArray[np.float64]]) -> Callable[[Axes], None]:
    def draw(axes: Axes) -> None:
        for at, (label, rates) in enumerate(lines.items()):
            edges = np.arange(len(rates) + 1)
            axes.stairs(rates, edges, baseline=None, label=label, color=SERIES[at % len(SERIES)], linewidth=1.5)
        axes.set_xlim(0, max(map(len, lines.values())))
        axes.set_ylim(0, max(float(rates[-1]) for rates in lines.values()) * 1.08 or 1.0)
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        axes.set_xlabel("connections", color=SOFT)

    return draw


def share_figures(runs: Sequence[Run], shown: int) -> tuple[Figure, ...]:
    """Return a bar a run, of what took which part of the time of a request; of so many runs at most."""
    own = [run for run in runs[:shown] if any(run.limit.shares.values())]
    names = [
        name
        for name in dict.fromkeys(name for run in own for name in run.limit.shares)
        if any(run.limit.shares.get(name, 0.0) >= LEAST_SHARE for run in own)
    ]
    if not names:
        return ()

    def draw(axes: Axes) -> None:
        begins = np.zeros(len(own))
        for at, name in enumerate(names):
            widths = np.array([100 * run.limit.shares.get(name, 0.0) for run in own])
            axes.barh(
                range(len(own)), widths, left=begins, color=SERIES[at % len(SERIES)], height=0.6, label=named(name)
            )
            begins += widths
        axes.set_xlim(0, 100)
        axes.set_ylim(len(own) - 0.5, -0.5)
        axes.set_yticks(range(len(own)), [f"run {run.number}" for run in own])
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0f} %")
        axes.grid(visible=False)

    said = "; ".join(
        f"run {run.number}: "
        + ", ".join(f"{named(name)} {percent(part, 1.0)}" for name, part in run.limit.shares.items())
        for run in own
    )
    height_in = 0.75 + 0.32 * len(own) + 0.21 * (len(names) - 1)
    return (Figure("shares", "What the time of a request was spent on", f"{said}.", draw, height_in),)
