"""Draws what happened over the time of a run: what was moved, how long it took, and what the client had to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bulkhaul.benchmark.report.axes import latency_axis
from bulkhaul.benchmark.report.drawing import BAD, BAND, SERIES, SOFT, Figure
from bulkhaul.benchmark.report.words import milliseconds, number, seconds, steady
from bulkhaul.benchmark.results import Run, Window
from bulkhaul.model.limits import MIB
from bulkhaul.model.workloads import OPERATIONS, Operation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = npt.NDArray[np.float64]

POINTS = 300
"""Points of a line at most: more than a figure is wide show nothing, and a page stays small."""

_LEAST_S = 0.5
"""A last window that is shorter is drawn with the one before: in what is left of a second no request may end."""


class Slices:
    """The windows of a run, several of them taken together where there are many, or where the last one is short."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = windows
        whole = len(windows) - (len(windows) > 1 and windows[-1].length_s < _LEAST_S)
        self._starts = np.linspace(0, whole, min(whole, POINTS), endpoint=False).astype(np.int64)
        lengths = np.array([window.length_s for window in windows], dtype=np.float64)
        self._lengths = np.add.reduceat(lengths, self._starts)
        self.middles = np.array([windows[at].at_s for at in self._starts]) + self._lengths / 2
        self.end_s = windows[-1].at_s + windows[-1].length_s
        self.length_s = float(np.median(self._lengths))

    def rate(self, count: Callable[[Window], float]) -> Line:
        """Return so many a second."""
        values = np.array([count(window) for window in self._windows], dtype=np.float64)
        return np.add.reduceat(values, self._starts) / np.maximum(self._lengths, 1e-9)

    def worst(self, value: Callable[[Window], float]) -> Line:
        """Return the largest value within each slice."""
        values = np.array([value(window) for window in self._windows], dtype=np.float64)
        return np.maximum.reduceat(values, self._starts)


def moved_figures(run: Run) -> tuple[Figure, ...]:
    """Return bytes, requests and latency over time; nothing for a run of a single window."""
    if len(run.windows) < 2:
        return ()
    slices = Slices(run.windows)
    operations = [name for name in OPERATIONS if any(window.done.get(name) for window in run.windows)]
    moving = [name for name in OPERATIONS if any(window.moved_bytes.get(name) for window in run.windows)]
    figures = []
    if moving:
        lines = {name.upper(): slices.rate(_moved(name)) for name in moving}
        figures.append(_lines(run, slices, "throughput", "Throughput, MiB/s", lines, "MiB/s"))
    lines = {name.upper(): slices.rate(_done(name)) for name in operations}
    figures.append(_lines(run, slices, "requests", "Requests a second", lines, "requests a second"))
    figures.append(_latency(run, slices))
    return tuple(figures)


def failure_figures(run: Run) -> tuple[Figure, ...]:
    """Return failures over time, if there are any."""
    if len(run.windows) < 2 or not any(window.failed for window in run.windows):
        return ()
    slices = Slices(run.windows)
    lines = {"failed": slices.rate(lambda window: window.failed)}
    return (_lines(run, slices, "failed", f"Failed requests a second, run {run.number}", lines, "requests a second"),)


def client_figures(run: Run) -> tuple[Figure, ...]:
    """Return the client's CPU, how late its loops came, and its requests over time."""
    if len(run.windows) < 2:
        return ()
    slices = Slices(run.windows)
    cpu = {"CPU": slices.rate(lambda window: window.cpu * window.length_s)}
    lag = {"late": slices.worst(lambda window: window.lag_ms)}
    flight = {"in flight": slices.worst(lambda window: window.in_flight)}
    if any(window.waiting for window in run.windows):
        flight["due, without a connection"] = slices.worst(lambda window: window.waiting)
    return (
        _lines(run, slices, "cpu", "CPU of all processes, in cores", cpu, "cores"),
        _lines(run, slices, "lag", "Longest delay of an event loop, ms", lag, "ms"),
        _lines(run, slices, "flight", "Requests in flight", flight, "requests"),
    )


def _moved(name: Operation) -> Callable[[Window], float]:
    return lambda window: window.moved_bytes.get(name, 0) / MIB


def _done(name: Operation) -> Callable[[Window], float]:
    return lambda window: window.done.get(name, 0)


def _lines(run: Run, slices: Slices, name: str, title: str, lines: dict[str, Line], unit: str) -> Figure:
    """Return lines from 0 up."""

    def draw(axes: Axes) -> None:
        _steady_part(axes, run)
        for at, (label, line) in enumerate(lines.items()):
            axes.plot(slices.middles, line, label=label, color=BAD if label == "failed" else SERIES[at % len(SERIES)])
        top = max(float(line.max()) for line in lines.values()) if lines else 0.0
        axes.set_ylim(0, top * 1.08 or 1.0)
        axes.yaxis.set_major_formatter(lambda value, _: number(value))
        _time_axis(axes, slices)

    said = "; ".join(
        f"{label}: median {number(float(np.median(line)))}, from {number(float(line.min()))} to"
        f" {number(float(line.max()))} {unit}"
        for label, line in lines.items()
    )
    return Figure(f"{name}-run-{run.number}", title, f"{_over(run, slices)} {said}.", draw)


def _latency(run: Run, slices: Slices) -> Figure:
    median_ms = slices.worst(lambda window: window.p50_ms)
    tail_ms = slices.worst(lambda window: window.p99_ms)
    seen = tail_ms > 0

    def draw(axes: Axes) -> None:
        _steady_part(axes, run)
        for label, line, colour in (("99 %", tail_ms, SERIES[1]), ("median", median_ms, SERIES[0])):
            axes.plot(slices.middles, np.where(line > 0, line, np.nan), label=label, color=colour)
        latency_axis(axes, float(median_ms[median_ms > 0].min(initial=np.inf)), float(tail_ms.max()))
        _time_axis(axes, slices)

    if seen.any():
        said = (
            f"median {milliseconds(float(np.median(median_ms[seen])))}, 99 % within"
            f" {milliseconds(float(np.median(tail_ms[seen])))}, at worst {milliseconds(float(tail_ms.max()))}"
        )
    else:
        said = "no request ended"
    return Figure(
        f"latency-run-{run.number}", "Latency of whole requests, log scale", f"{_over(run, slices)} {said}.", draw
    )


def _over(run: Run, slices: Slices) -> str:
    told = steady(run) if run.steady.replayed or not run.steady.reached else f"steady {steady(run)}"
    return f"Run {run.number}, {seconds(slices.end_s)}, {told}:"


def _steady_part(axes: Axes, run: Run) -> None:
    if run.steady.reached and not run.steady.replayed:
        axes.axvspan(run.steady.from_s, run.steady.to_s, color=BAND, linewidth=0, zorder=0)


def _time_axis(axes: Axes, slices: Slices) -> None:
    axes.set_xlim(0, slices.end_s)
    axes.set_xlabel("seconds", color=SOFT)
