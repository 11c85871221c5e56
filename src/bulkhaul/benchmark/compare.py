"""Compares results of benchmarks with a first one, the base: what is faster, what is slower, what nobody can tell.

Result, Result ─▶ values of each repeat ─▶ ratio and interval of each metric ─▶ Comparison

All intervals of a comparison hold together: with each of ten metrics at 95 of 100, four of ten comparisons without any
difference would raise an alarm.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

import msgspec

from bulkhaul.benchmark.compared_values import THROUGHPUT, mean_bytes, parts_of, unit_of, values_of
from bulkhaul.benchmark.results import Result
from bulkhaul.model.errors import UsageError
from bulkhaul.policy.comparability import told_apart, why_not
from bulkhaul.policy.differences import CONFIDENCE, Interval, Word, confidence_of_each, loss, ratio_interval, word_of

_ENOUGH_FAILED = 0.001
"""Share of failed requests that is told: what fails is often fast."""

_NOT_COMPARED = ("concurrency", "load before")
"""Of settings and machines: the runs tell the one themselves, and the other is never twice the same."""


class Metric(msgspec.Struct, frozen=True):
    """One metric of two results.

    Attributes:
        unit: ``bytes/s``, ``requests/s`` or ``ms``.
        base, other: geometric means of the repeats.
        ratio: of other to base.
        low, high: ends of its interval; None where nothing tells them.
        regression: it is slower, and by more than the threshold.
    """

    name: str
    unit: str
    base: float
    other: float
    ratio: float
    low: float | None
    high: float | None
    word: Word
    regression: bool


class Pair(msgspec.Struct, frozen=True):
    """One result against the base.

    Attributes:
        base_runs, other_runs: repeats of each.
        within_runs: there is one run a side, so intervals follow from parts of these runs and know nothing of how far
            runs scatter.
        differences: in what else than the results the two differ, by purpose or not: a reader must know it first.
        notes: what makes the numbers doubtful.
    """

    base: str
    other: str
    base_runs: int
    other_runs: int
    within_runs: bool
    metrics: tuple[Metric, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]


class Comparison(msgspec.Struct, frozen=True):
    """Results against the first one.

    Attributes:
        threshold: share from which on a loss is a regression; None if none is.
        confidence: how often all intervals of a pair hold together.
        regression: some metric of some pair is one; the command exits with 1.
    """

    threshold: float | None
    confidence: float
    pairs: tuple[Pair, ...]
    regression: bool


def compare(
    results: Sequence[Result], names: Sequence[str], *, threshold: float | None = 0.05, forced: bool = False
) -> Comparison:
    """Compare results with the first one.

    Args:
        names: what to call each result.
        threshold: a metric that is slower by more than this share is a regression; None for none.
        forced: compare also what is not comparable.

    Raises:
        UsageError: there are not two results, one has no runs, or they did not ask the same of a store.
    """
    if len(results) < 2:
        raise UsageError("a comparison needs two results at least")
    for result, name in zip(results, names, strict=True):
        if not result.runs:
            raise UsageError("there is no run in this result, so nothing can be compared", name)
    pairs = tuple(
        _pair(results[0], other, names[0], name, threshold, forced=forced)
        for other, name in zip(results[1:], names[1:], strict=True)
    )
    regression = any(metric.regression for pair in pairs for metric in pair.metrics)
    return Comparison(threshold, CONFIDENCE, pairs, regression)


def _pair(base: Result, other: Result, base_name: str, name: str, threshold: float | None, *, forced: bool) -> Pair:
    reasons = why_not(base.workload, other.workload, mean_bytes(base), mean_bytes(other))
    if reasons and not forced:
        text = f"it cannot be compared with {base_name}: {'; '.join(reasons)}; --force compares them all the same"
        raise UsageError(text, name)
    unit = unit_of((base, other))
    values = [[values_of(run, unit) for run in result.runs] for result in (base, other)]
    found = dict.fromkeys(metric for side in values for run in side for metric in run)
    whole = [metric for metric in found if all(metric in run for side in values for run in side)]
    a, b = ({metric: [run[metric] for run in side] for metric in whole} for side in values)
    within = len(base.runs) == len(other.runs) == 1
    a_repeats, b_repeats = (parts_of(base.runs[0], unit), parts_of(other.runs[0], unit)) if within else (a, b)
    of_first, of_each = confidence_of_each(len(a_repeats.keys() & b_repeats.keys() & a.keys()))
    metrics = []
    for metric in whole:
        repeats = a_repeats.get(metric), b_repeats.get(metric)
        confidence = of_first if metric == THROUGHPUT else of_each
        interval = ratio_interval(repeats[0], repeats[1], confidence) if repeats[0] and repeats[1] else None
        in_unit = unit if metric == THROUGHPUT else "ms"
        metrics.append(_metric(metric, in_unit, a[metric], b[metric], interval, threshold))
    differences = [f"not the same was asked: {reason}" for reason in reasons]
    differences += told_apart(base.workload, other.workload, _in_flight(base), _in_flight(other))
    differences += _surroundings(base, other)
    notes = [f"{metric}: not compared, as not every run has it" for metric in found if metric not in whole]
    notes += [*_warnings(base, base_name), *_warnings(other, name)]
    counts = len(base.runs), len(other.runs)
    return Pair(base_name, name, *counts, within, tuple(metrics), tuple(differences), tuple(notes))


def _metric(
    name: str, unit: str, base: list[float], other: list[float], interval: Interval | None, threshold: float | None
) -> Metric:
    a, b = statistics.geometric_mean(base), statistics.geometric_mean(other)
    more_is_better = unit != "ms"
    word = word_of(interval, more_is_better=more_is_better)
    lost = loss(b / a, more_is_better=more_is_better)
    regression = word == "slower" and threshold is not None and lost > threshold
    low, high = (interval.low, interval.high) if interval is not None else (None, None)
    return Metric(name, unit, a, b, b / a, low, high, word, regression)


def _warnings(result: Result, name: str) -> Iterator[str]:
    """Yield what makes the numbers of a result doubtful."""
    if restless := [str(run.number) for run in result.runs if not run.steady.reached]:
        yield f"{name}: never steady in run {', '.join(restless)}, so all of it counts, its warm-up too"
    if ended := [str(run.number) for run in result.runs if run.interrupted]:
        yield f"{name}: run {', '.join(ended)} was ended early"
    failed = sum(one.failed for run in result.runs for one in run.measured)
    asked = failed + sum(one.done for run in result.runs for one in run.measured)
    if failed > _ENOUGH_FAILED * asked:
        yield f"{name}: {100 * failed / asked:.1f} % of the requests failed; they are in no time"


def _surroundings(base: Result, other: Result) -> Iterator[str]:
    """Yield in what the settings and the machines differ."""
    for kind, a, b in (("setting", base.settings, other.settings), ("machine", base.machine, other.machine)):
        for key in sorted(a.keys() & b.keys()):
            if a[key] != b[key] and key not in _NOT_COMPARED:
                yield f"{kind} {key}: {a[key]} and {b[key]}"


def _in_flight(result: Result) -> list[int]:
    return sorted({run.concurrency for run in result.runs})


__all__ = ["Comparison", "Metric", "Pair", "compare"]
