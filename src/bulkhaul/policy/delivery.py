"""Tells how much was delivered between two instants, although it is told late and in lumps.

    moved since 3.0 s, told at 3.2 s   ─▶   spread evenly over the bins of [3.0, 3.2)

Workers report what they have moved since their last report, up to a quarter of a second later. A rate that counts a
report at the instant of its arrival swings by a report more or less; one that spreads it over the time in which the
bytes came does not. Memory is fixed: the bins form a ring of the last ``SPAN_S``.
"""

from __future__ import annotations

import math

from bulkhaul.model.limits import KIB

BIN_S = 0.05
"""Width of a bin, in seconds: a fifth of the time between two reports, so that the edges of an interval blur little."""

SPAN_S = 12.8
"""How far back it remembers: longer than the longest comparison of ``policy.window`` takes."""

_BINS = round(SPAN_S / BIN_S)


class Delivery:
    """An amount by time, in any one unit: work, or connection-seconds."""

    __slots__ = ("_bins", "_newest", "_newest_s")

    def __init__(self) -> None:
        self._bins = [0.0] * _BINS
        self._newest = 0  # number of the newest bin since the clock's zero
        self._newest_s = 0.0  # as far as that one is filled

    def add(self, since_s: float, now_s: float, amount: float) -> None:
        """Take an amount that came evenly in ``[since_s, now_s)``; what came before the ring counts as its oldest.

        Time must not run backwards by more than ``SPAN_S``; the work is proportional to the number of bins touched.
        """
        last = int(now_s / BIN_S)
        if last > self._newest:
            self._advance(last)
        self._newest_s = max(self._newest_s, now_s)
        first = max(int(since_s / BIN_S), self._newest - _BINS + 1)
        if first >= last:
            self._bins[max(last, self._newest - _BINS + 1) % _BINS] += amount
            return
        length_s = now_s - max(since_s, first * BIN_S)
        per_s = amount / length_s
        self._bins[first % _BINS] += per_s * ((first + 1) * BIN_S - max(since_s, first * BIN_S))
        for number in range(first + 1, last):
            self._bins[number % _BINS] += per_s * BIN_S
        self._bins[last % _BINS] += per_s * (now_s - last * BIN_S)

    def between(self, begin_s: float, end_s: float) -> float:
        """Return the amount of ``[begin_s, end_s)``, as far as it has been told and is remembered."""
        first, last = int(begin_s / BIN_S), int(end_s / BIN_S)
        total = 0.0
        for number in range(max(first, self._newest - _BINS + 1), min(last, self._newest) + 1):
            share = min(end_s, (number + 1) * BIN_S) - max(begin_s, number * BIN_S)
            width_s = min(BIN_S, self._newest_s - number * BIN_S)  # of what has been filled of it
            total += self._bins[number % _BINS] * (min(1.0, max(0.0, share / width_s)) if width_s > 0 else 1.0)
        return total

    def _advance(self, newest: int) -> None:
        for number in range(max(self._newest + 1, newest - _BINS + 1), newest + 1):
            self._bins[number % _BINS] = 0.0
        self._newest = newest


REQUEST_BYTES = 256 * KIB
"""What a request counts beside its bytes: about what a connection moves in a request's own latency and CPU time."""

REPORT_S = 0.25
"""A worker tells what it has moved no later than this: with its heartbeat."""

CLOSE_REPORT_S = 0.05
"""The same while the window looks for its size: a quarter of a second is the time of eight replies from 30 ms away."""

SPELL_S = 0.5
"""Length of the spells of which the most in flight is kept."""


class Flow:
    """What was under way and what was delivered, by time.

    Delivery is measured as work: a request's bytes and ``REQUEST_BYTES``. Small objects are limited by requests, large
    ones by bytes, and work grows with the number in flight in either case. With bytes alone, a run of small objects
    within a mixture would look like a loss; with requests alone, a run of large ones would.

    Attributes:
        ttfb_s: recent mean time to first byte; 0 before any.
        least_ttfb_s: the least mean that a report told since the last start: how far away the service is, without what
            queues; 0 before any.
        turn_s: how long a request was in flight lately, by Little's law; 0 before any.
        told_s: what was moved before has been told of, as far as that is known.
    """

    __slots__ = (
        "_busy", "_done", "_failed", "_last_peak", "_peak", "_seen_s", "_turn_began_s", "_work", "least_ttfb_s",
        "told_s", "ttfb_s", "turn_s",
    )  # fmt: skip

    def __init__(self, now_s: float) -> None:
        self._work = Delivery()
        self._busy = Delivery()  # connection-seconds
        self._done, self._failed = Delivery(), Delivery()  # requests
        self._seen_s = self._turn_began_s = now_s
        self._peak = self._last_peak = 0
        self.ttfb_s = self.least_ttfb_s = self.turn_s = 0.0
        self.told_s = float("-inf")

    def pass_time(self, now_s: float, in_flight: int) -> None:
        """Count the connection-seconds since the last event; so many were in flight all the while."""
        if now_s <= self._seen_s:
            return
        spells = int(now_s / SPELL_S) - int(self._seen_s / SPELL_S)
        if spells:
            self._last_peak, self._peak = self._peak if spells == 1 else in_flight, in_flight
        if in_flight:
            self._busy.add(self._seen_s, now_s, in_flight * (now_s - self._seen_s))
        self._seen_s = now_s

    def rises(self, in_flight: int) -> None:
        """So many are in flight now."""
        self._peak = max(self._peak, in_flight)

    def move(self, since_s: float, now_s: float, moved_bytes: int, ended: int) -> None:
        """So much was moved, and so many requests ended well, in ``[since_s, now_s)``."""
        self._work.add(since_s, now_s, moved_bytes + REQUEST_BYTES * ended)
        if ended:
            self._done.add(since_s, now_s, ended)

    def begin_replies(self, heads: int, ttfb_sum_s: float, in_flight: int) -> None:
        """So many replies have begun; their mean is told by about a window's worth of them."""
        mean_s = ttfb_sum_s / heads
        weight = min(1.0, heads / max(8, in_flight)) if self.ttfb_s else 1.0
        self.ttfb_s += weight * (mean_s - self.ttfb_s)
        self.least_ttfb_s = min(self.least_ttfb_s or mean_s, mean_s)

    def fail(self, now_s: float, requests: int) -> None:
        """So many requests have ended without a result."""
        self._failed.add(now_s, now_s, requests)

    @property
    def peak(self) -> int:
        """The most that were in flight in this spell and the last one."""
        return max(self._peak, self._last_peak)

    def rate(self, begin_s: float, end_s: float) -> float:
        """Return the work a second in an interval, in bytes."""
        return self._work.between(begin_s, end_s) / (end_s - begin_s)

    def in_flight(self, begin_s: float, end_s: float) -> float:
        """Return the mean number in flight in an interval."""
        return self._busy.between(begin_s, end_s) / (end_s - begin_s)

    def ended(self, begin_s: float, end_s: float) -> tuple[float, float]:
        """Return how many requests ended well, and without a result, in an interval."""
        return self._done.between(begin_s, end_s), self._failed.between(begin_s, end_s)

    def measure_turn(self, now_s: float) -> bool:
        """Learn how long requests take, once a second; return whether it did."""
        if now_s - self._turn_began_s < 1.0:
            return False
        busy_s = self._busy.between(self._turn_began_s, now_s)
        self.turn_s = busy_s / max(1.0, self._done.between(self._turn_began_s, now_s))
        self._turn_began_s = now_s
        return True


def log_ratio(value: float, other: float) -> float:
    """Return the logarithm of value / other, from -3 to 3 so that one empty interval does not outweigh all others."""
    if other <= 0:
        return 3.0 if value > 0 else 0.0
    return max(-3.0, min(3.0, math.log(value / other))) if value > 0 else -3.0
