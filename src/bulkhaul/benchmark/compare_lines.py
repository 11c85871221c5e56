"""Writes a comparison for people: a table of each pair, and plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from bulkhaul.benchmark.compare import Comparison, Metric, Pair
from bulkhaul.policy.differences import loss
from bulkhaul.policy.sizes import format_size


def lines(comparison: Comparison) -> Iterator[str]:
    """Yield the lines of a comparison."""
    for at, pair in enumerate(comparison.pairs):
        if at:
            yield ""
        yield f"{pair.other} against {pair.base}, the base: {_runs(pair.other_runs)} against {_runs(pair.base_runs)}"
        if pair.differences:
            yield "What else differs, and may be the reason of what follows:"
            yield from (f"  {one}" for one in pair.differences)
        yield ""
        yield from _table(pair)
        yield ""
        yield from _sentences(pair, comparison)
        yield from (f"note: {note}" for note in pair.notes)


def _table(pair: Pair) -> Iterator[str]:
    head = ("", "base", "this", "this / base", "interval", "")
    rows = [head, *(_row(metric, pair) for metric in pair.metrics)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:5], widths[1:5], strict=True)),
        ]
        yield "  ".join([*cells, row[5]]).rstrip()


def _row(metric: Metric, pair: Pair) -> tuple[str, ...]:
    interval = "" if metric.low is None or metric.high is None else f"{_ratio(metric.low)} to {_ratio(metric.high)}"
    return (
        metric.name,
        _value(metric.base, metric.unit),
        _value(metric.other, metric.unit),
        _ratio(metric.ratio),
        interval,
        verdict(metric, pair),
    )


def verdict(metric: Metric, pair: Pair) -> str:
    """Return what is said of a metric, in a few words."""
    if metric.word == "unknown":
        return "one run a side cannot tell"
    if metric.word == "no difference":
        if pair.within_runs:
            return "no difference that one run a side can show"
        return f"no difference that {pair.base_runs} and {pair.other_runs} runs can show"
    return metric.word + (": a regression" if metric.regression else "")


def _sentences(pair: Pair, comparison: Comparison) -> Iterator[str]:
    limit = f"{100 * comparison.threshold:g} %" if comparison.threshold is not None else ""
    if regressions := [metric for metric in pair.metrics if metric.regression]:
        told = "; ".join(f"{metric.name} is worse by {_percent(metric)}" for metric in regressions)
        yield f"Regression of more than {limit}: {told}."
    elif slower := [metric for metric in pair.metrics if metric.word == "slower"]:
        told = "; ".join(f"{metric.name} is worse by {_percent(metric)}" for metric in slower)
        yield f"{pair.other} is slower{f', by {limit} at most' if limit else ''}: {told}."
    elif faster := [metric for metric in pair.metrics if metric.word == "faster"]:
        yield f"{pair.other} is faster: {'; '.join(f'{one.name} is better by {_percent(one)}' for one in faster)}."
    elif any(metric.word == "no difference" for metric in pair.metrics):
        yield "No difference can be shown. A smaller one than the intervals are wide may still be there."
    else:
        yield "These results cannot tell whether there is a difference: repeat both (--repeat 5)."
    if any(metric.low is not None for metric in pair.metrics):
        yield f"All intervals hold together in {100 * comparison.confidence:g} of 100 such comparisons."
    if pair.within_runs:
        yield (
            "There is one run a side: intervals follow from parts of these runs, and do not know how far one run lies "
            "from the next. Repeat both (--repeat 5) before you rely on them."
        )


def _percent(metric: Metric) -> str:
    worse = loss(metric.ratio, more_is_better=metric.unit != "ms")
    return f"{100 * abs(worse):.1f} %"


def _value(value: float, unit: str) -> str:
    if unit == "bytes/s":
        return f"{format_size(value)}/s"
    return f"{value:.4g} ms" if unit == "ms" else f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s"


def _ratio(ratio: float) -> str:
    return f"{ratio:.3f}" if ratio < 100 else "over 100"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


__all__ = ["lines", "verdict"]
