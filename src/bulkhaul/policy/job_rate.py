"""Tells how fast a job goes, by what ended in its last minute, and when it will be done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

WINDOW_S: Final = 60.0
"""How far back from its last row a job's rate is measured."""


class Span(msgspec.Struct, frozen=True):
    """Rows that ended evenly between two instants, in seconds since the epoch."""

    began_s: float
    ended_s: float
    rows: int
    size_bytes: int


class Rate(msgspec.Struct, frozen=True):
    """What is done in a second; 0 where nothing is known."""

    rows_per_s: float = 0.0
    bytes_per_s: float = 0.0


def rate(spans: Iterable[Span]) -> Rate:
    """Return the rate of the last minute in which anything ended.

    >>> rate([Span(0.0, 100.0, 1000, 10_000), Span(100.0, 120.0, 100, 0)])
    Rate(rows_per_s=8.333333333333334, bytes_per_s=66.66666666666667)
    """
    known = [span for span in spans if span.rows and span.ended_s > 0]
    if not known:
        return Rate()
    end_s = max(span.ended_s for span in known)
    start_s = max(end_s - WINDOW_S, min(span.began_s for span in known))
    length_s = max(end_s - start_s, 1.0)
    rows = size_bytes = 0.0
    for span in known:
        whole_s = span.ended_s - span.began_s
        inside_s = span.ended_s - max(span.began_s, start_s)
        share = inside_s / whole_s if whole_s > 0 else float(span.ended_s >= start_s)
        rows += span.rows * max(0.0, share)
        size_bytes += span.size_bytes * max(0.0, share)
    return Rate(rows / length_s, size_bytes / length_s)


def seconds_left(now: Rate, *, rows: int, size_bytes: int) -> float | None:
    """Return how long what is left will take, by rows or by bytes, whatever takes longer; None if it cannot be told."""
    if not rows:
        return 0.0
    if not now.rows_per_s:
        return None
    by_rows = rows / now.rows_per_s
    by_bytes = size_bytes / now.bytes_per_s if now.bytes_per_s else 0.0
    return max(by_rows, by_bytes)
