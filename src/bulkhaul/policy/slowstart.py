"""Doubles the window round by round while delivery grows with it, and tells where it stopped growing.

    round of 8 ─▶ of 16 ─▶ of 32 ─▶ of 64 ─▶ told that 32 delivered no more than 16 did, nor 64 ─▶ hold 16

What is known of a round is a report old. To wait for it each time would take as long as the rounds, so the window runs
ahead of what is known to deliver more, by ``ahead`` times at most; the size that it begins with needs no proof.

Source: TCP's slow start (RFC 5681); BBR's (CACM 60/2, 2017), which ends when delivery has not grown for some rounds.
"""

from __future__ import annotations

import math

import msgspec

from bulkhaul.policy.delivery import REPORT_S, Flow, log_ratio

FIRST_LOAD_PER_S = 400.0
"""Requests a second that the second round may make: what 8 in flight make of a service 20 ms away. Where a reply takes
longer, more in flight are the same load."""

FIRST_LOAD_MOST = 64
"""The most in flight that a long time to first byte alone justifies."""

AHEAD = 8
"""The window is at most this multiple of the last size that is known to deliver more than smaller ones, at first."""

AHEAD_AGAIN = 2
"""The same when a larger size is held already, or the service is near: there is less to lose by waiting, and more to be
wrong with."""

NEAR_S = 0.01
"""A service whose replies begin sooner is on this machine or its network. There, few requests fill the line or the
cores, and what is given out beyond that runs to its end all the same: 64 parts at once cost 2 GiB a third more time."""

GROWS = 0.25
"""Elasticity under which delivery does not grow with the window. Source: BBR's full pipe, 25 % for double: 0.32."""

RAMP_TTFBS = 4
"""Times to first byte until a new connection delivers: it is opened (TCP, TLS), asked, and starts slowly."""

FLAT_ROUNDS = 2
"""Rounds in a row without growth that end it: one may be noise."""

KNEE = 0.9
"""The smallest size that delivered this share of the best is held; trials do the rest."""


class _Round(msgspec.Struct):
    """The time of one size, and the work a second in it once that is known."""

    size: int
    begin_s: float
    end_s: float
    rate: float = 0.0


class SlowStart:
    """The rounds of one start."""

    __slots__ = ("_ahead", "_failed", "_flat", "_flow", "_grew", "_heads", "_moves", "_round_s", "_rounds", "_weighed")

    def __init__(self, flow: Flow, now_s: float, *, ahead: int = AHEAD) -> None:
        self._flow = flow
        self._ahead = ahead
        self._rounds: list[_Round] = []
        self._weighed = 0  # how many of them have been told of in full
        self._grew = _Round(0, now_s, now_s)  # the last that delivered more by being larger
        self._flat = 0  # rounds since
        self._failed = False
        flow.least_ttfb_s = 0.0
        self.begin_round(now_s)

    def begin_round(self, now_s: float) -> None:
        """A round begins: the last one is over, or nothing was wanted before."""
        self._heads = self._moves = 0
        self._round_s = now_s

    def begin_replies(self, heads: int) -> None:
        """So many replies have begun."""
        self._heads += heads

    def move(self) -> None:
        """A request has moved bytes."""
        self._moves += 1

    def fail(self) -> None:
        """A request has failed: from now on, that bytes go out is no sign that more of them would be taken."""
        self._failed = True

    def next_size(self, now_s: float, size: int, most: int) -> tuple[int, bool]:
        """Return the size from now on, and whether the start is over.

        A round takes a few times to first byte, and a quarter of the window must have been answered in it. What is sent
        is answered only when all of it has been: that its bytes go out is enough at first.

        Args:
            most: as far as it may grow.
        """
        length_s = min(0.2, max(0.05, 1.5 * self._flow.ttfb_s))
        begun_with = self._rounds[0].size if self._rounds else size
        sent = self._moves if size < AHEAD * begun_with and not self._failed else 0
        signs = max(self._heads, sent)
        if now_s - self._round_s < length_s or 4 * signs < size:
            return size, False
        begin_s = self._round_s
        self.begin_round(now_s)
        if self._flow.in_flight(begin_s, now_s) < 0.8 * size:
            return size, False  # less was wanted than allowed
        if self._rounds and self._rounds[-1].size == size:
            self._rounds[-1].end_s = now_s
        else:
            self._rounds.append(_Round(size, begin_s, now_s))
        self._weigh(now_s, length_s, stays=self._grew.size > 0 and self._stays(size, most))
        stays = self._stays(size, most)
        told = self._weighed == len(self._rounds)
        if self._flat >= FLAT_ROUNDS or (self._flat and told and stays):
            return self._knee(), True
        if stays:
            return size, told and size >= most
        first = min(FIRST_LOAD_MOST, int(FIRST_LOAD_PER_S * self._flow.ttfb_s)) if len(self._rounds) == 1 else 0
        return min(most, max(first, 2 * size)), False

    def proven(self, size: int) -> int:
        """Return what to hold where this machine can do no more: of a near service, what is known to deliver more."""
        return min(size, self._grew.size) if self._near and self._grew.size else size

    @property
    def _near(self) -> bool:
        return 0 < self._flow.least_ttfb_s < NEAR_S

    def _stays(self, size: int, most: int) -> bool:
        """Whether the size is as large as it may be, or as what is known allows."""
        ahead = min(self._ahead, AHEAD_AGAIN) if self._near else self._ahead
        return size >= min(most, ahead * max(self._grew.size, self._rounds[0].size))

    def _weigh(self, now_s: float, length_s: float, *, stays: bool) -> None:
        """Compare the rounds that have been told of in full with the last that is known to have grown."""
        told_s = max(self._flow.told_s, now_s - REPORT_S)
        while self._weighed < len(self._rounds):
            one = self._rounds[self._weighed]
            begin_s, end_s, least_s = one.begin_s, one.end_s, 0.0
            if self._weighed == len(self._rounds) - 1:  # it goes on
                end_s, least_s = min(end_s, told_s), min(0.1, length_s)
                if stays:  # there is time to leave out how its connections were opened
                    begin_s, least_s = begin_s + RAMP_TTFBS * self._flow.ttfb_s, REPORT_S
            if end_s > told_s or end_s - begin_s < least_s:
                # What is not told yet can only add: growth may show already, the lack of it cannot.
                if self._grew.size and self._grows(one, one.begin_s, one.end_s):
                    self._grew, self._flat = one, 0
                return
            self._weighed += 1
            if self._grows(one, begin_s, end_s):
                self._grew, self._flat = one, 0
            else:
                self._flat += 1

    def _grows(self, one: _Round, begin_s: float, end_s: float) -> bool:
        """Whether a round delivered more by being larger; the first one counts as such."""
        grew = self._grew
        before = grew.rate
        one.rate = self._flow.rate(begin_s, end_s)
        if one.size <= grew.size or not grew.size:
            return True
        return log_ratio(one.rate, before) >= GROWS * math.log(one.size / grew.size)

    def _knee(self) -> int:
        weighed = self._rounds[: self._weighed]
        best = max(one.rate for one in weighed)
        return min(one.size for one in weighed if one.rate >= KNEE * best)
