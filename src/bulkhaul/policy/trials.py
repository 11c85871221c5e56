"""Tries now and then whether a larger or a smaller window would do better, and judges from the evidence of all trials.

    held  ──epoch──┐                 ┌──epoch──▶ judged when all three have been told of
                   └─settle──epoch───┘settle
                       tried size

A trial compares its epoch with those before and after it, so that drift cancels. What it gains, less what the step is
worth, adds to the evidence for its direction. Evidence above the noise takes the step, and the next one is longer;
evidence below it rests that direction for twice as long as the last time.

Source: PCC (NSDI 2015), paired trials and a utility; Vegas and Netflix's concurrency-limits: a window that is larger
without delivering more only makes a queue. huggingface.js #2352: samples of the ramp must not count as growth.
"""

from __future__ import annotations

import math

import msgspec

from bulkhaul.policy.delivery import REPORT_S, Flow, log_ratio

FIRST_PAUSE_S = 2.0
LAST_PAUSE_S = 30.0
"""Pauses between trials that gained nothing: a network changes within minutes, and each trial may cost a little."""

STEP = 1.4
"""A first step; the next in a row are its square and its cube. Smaller ones drown in noise, larger ones cost more."""

WORTH = 0.1
"""A step up is worth it from this elasticity on: delivery grows by a tenth of what the window does, in logarithms."""

IDLE = 0.03
"""A step down costs nothing up to this elasticity. Under ``WORTH``, or the window would never rest."""

DEAR = 2
"""A step up takes this many times the evidence of a step down, so that noise alone leads down, to what is needed."""

CERTAIN = 0.02
"""The least evidence that decides, in logarithms: two parts in a hundred of what is delivered."""

LEAST = 4
"""No trial goes lower: two a worker hide a worker's own pauses, and so few harm nobody. Only cuts do."""


class Trial(msgspec.Struct):
    """A trial of another size: epochs before, in, and after it, all of the same length.

    Attributes:
        up: whether it is the larger size that is tried.
        before_s, in_s, after_s: when each epoch begins.
    """

    up: bool
    base: int
    size: int
    epoch_s: float
    before_s: float
    in_s: float
    after_s: float

    @property
    def in_end_s(self) -> float:
        """When the tried size has been in force for long enough."""
        return self.in_s + self.epoch_s

    @property
    def told_s(self) -> float:
        """When the last report about it is in."""
        return self.after_s + self.epoch_s + REPORT_S


class _Side:
    """What is known of the steps in one direction: evidence, steps taken in a row, and when the next is tried."""

    __slots__ = ("due_s", "evidence", "pause_s", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.evidence = 0.0
        self.pause_s = FIRST_PAUSE_S
        self.due_s = float("-inf")

    def rest(self, now_s: float) -> None:
        self.evidence = 0.0
        self.taken = 0
        self.due_s = now_s + self.pause_s
        self.pause_s = min(LAST_PAUSE_S, 2 * self.pause_s)

    def wake(self) -> None:
        self.evidence = 0.0
        self.pause_s = FIRST_PAUSE_S
        self.due_s = float("-inf")


class Trials:
    """The evidence for a larger and for a smaller window.

    Attributes:
        noise: how much two epochs of the same size differ, in logarithms.
    """

    __slots__ = ("_down", "_flow", "_up", "noise")

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._up, self._down = _Side(), _Side()
        self.noise = 0.05

    def rest_down(self, now_s: float) -> None:
        """The window has just grown, and delivered more."""
        self._down.rest(now_s)

    def wake_down(self) -> None:
        """Fewer may do as well now."""
        self._down.wake()

    def wake_up(self) -> None:
        """More may be possible now."""
        self._up.wake()

    def settle_s(self) -> float:
        """Return how long a change of the size takes until it shows: connections open, or requests end."""
        return min(1.5, max(0.2, 4 * self._flow.ttfb_s, 0.4 * self._flow.turn_s))

    def begin(self, now_s: float, held_since_s: float, size: int, most: int) -> Trial | None:
        """Return the trial to begin now, if one is due; the size must have been held for long enough.

        Args:
            most: the largest size that may be tried; at or under ``size`` for none.
        """
        epoch_s, settle_s = min(2.0, max(0.5, self._flow.turn_s)), self.settle_s()
        if now_s - held_since_s < settle_s + epoch_s:
            return None
        if self._flow.in_flight(now_s - epoch_s, now_s) < 0.8 * size:
            return None  # less was wanted than allowed
        up = size < most and now_s >= self._up.due_s
        down = size > LEAST and now_s >= self._down.due_s
        if up and down:
            up = self._up.taken > 0 or (not self._down.taken and self._up.due_s <= self._down.due_s)
        if not (up or down):
            return None
        step = STEP ** min(3, 1 + (self._up if up else self._down).taken)
        tried = min(most, max(size + 1, round(size * step))) if up else max(LEAST, round(size / step))
        in_s = now_s + settle_s
        return Trial(up, size, tried, epoch_s, now_s - epoch_s, in_s, in_s + epoch_s + settle_s)

    def judge(self, trial: Trial, now_s: float) -> tuple[bool, float]:
        """Return whether the tried size is to be held from now on, and the elasticity that the trial showed."""
        before, within, after = (
            (begin_s, begin_s + trial.epoch_s) for begin_s in (trial.before_s, trial.in_s, trial.after_s)
        )
        for span, size in ((before, trial.base), (within, trial.size), (after, trial.base)):
            if self._flow.in_flight(*span) < 0.8 * size:
                return False, 0.0  # less was wanted than allowed
        first, last = self._flow.rate(*before), self._flow.rate(*after)
        self.noise += 0.2 * (min(1.0, abs(log_ratio(last, first))) - self.noise)
        gained = log_ratio(self._flow.rate(*within), (first + last) / 2)
        step = math.log(trial.size / trial.base)
        side, other = (self._up, self._down) if trial.up else (self._down, self._up)
        side.evidence += gained - (WORTH if trial.up else IDLE) * step
        enough = max(CERTAIN, self.noise)
        if side.evidence >= enough * (DEAR if trial.up else 1):
            side.wake()
            side.taken += 1
            other.taken, other.evidence = 0, 0.0
            return True, gained / step
        if side.evidence <= -enough:
            side.rest(now_s)
        return False, gained / step
