"""Finds how many requests the host keeps in flight: as many as deliver more, and no more than that.

    STARTING ──more no longer delivers more──▶ HOLDING ◀──judged──▶ TRYING another size
        ▲  └──SlowDown, breaks, a client overrun──▶ ▲ │
        └──────────a step up gained all of itself──────┘

Throughput is the number in flight by the latency, until something is full: the line, the service's patience, this
machine's CPU. None of these can be known beforehand, so they are found by trial.

* ``slowstart`` doubles the window while delivery grows with it.
* ``trials`` probes around what is held, and tells gain from noise.
* ``softceiling`` takes it down when the service or the path cannot bear it, and back to just under that.
* ``delivery`` measures, from reports that come late and in lumps.

Application-limited time (less wanted than allowed) teaches nothing and lets nothing grow. Every event costs O(1).
"""

from __future__ import annotations

from bulkhaul.model.settings import MOST_IN_FLIGHT
from bulkhaul.policy.delivery import REPORT_S, Flow, log_ratio
from bulkhaul.policy.slowstart import AHEAD_AGAIN, SlowStart
from bulkhaul.policy.softceiling import HOLD_S, SoftCeiling
from bulkhaul.policy.trials import LEAST, STEP, Trial, Trials

FIRST_SIZE = 8
"""What the window begins with: what loopback needs. Source: docs/decisions/0003."""

SATURATED = 0.98
"""Share of the CPU time that workers may use from which on this machine is the limit."""

CHANGED = 0.3
"""Delivery at the same size that differs by this much, in logarithms, is another network, service or load."""

RESTARTS = 0.5
"""Elasticity of a step up from which on the window doubles again, as at the start."""

BROKEN_SHARE = 8
"""More than one in so many of those in flight, broken within a second, are no chance; networks lose one at times."""


def ceiling_of(
    concurrency: int | None, *, descriptors: int, pool_bytes: int, buffer_bytes: int, spare_descriptors: int = 128
) -> int:
    """Return the most requests that may be in flight, at least 1.

    Args:
        concurrency: what the user allows; None for ``MOST_IN_FLIGHT``.
        descriptors: RLIMIT_NOFILE; a request in flight takes two, its connection and its file.
        pool_bytes: memory for buffers, all workers together.
        buffer_bytes: what a request in flight takes of it.
        spare_descriptors: for everything else.

    >>> ceiling_of(None, descriptors=1024, pool_bytes=64 << 20, buffer_bytes=256 << 10)
    256
    """
    wanted = MOST_IN_FLIGHT if concurrency is None else concurrency
    return max(1, min(wanted, (descriptors - spare_descriptors) // 2, pool_bytes // max(1, buffer_bytes)))


class Window:
    """How many requests the host may have in flight; decided from what workers report, by the instants given.

    Attributes:
        ceiling: the most that it may become.
        cores: that the workers may use, as far as there are workers for them.
        most_bytes: of parts that may be in flight, from the third part on; None for any number.
        size: requests that may be in flight now, from 1 to the ceiling.
        outstanding: requests that were given out and have not ended, those that queue at workers included.
    """

    def __init__(
        self,
        ceiling: int = MOST_IN_FLIGHT,
        *,
        first: int = FIRST_SIZE,
        cores: int = 1 << 10,
        now_s: float = 0.0,
        most_bytes: int | None = None,
    ) -> None:
        """Take how far it may grow and how large it begins, both at least 1."""
        self.most_bytes = most_bytes
        self.ceiling = max(1, ceiling)
        self.cores = cores
        self.size = min(self.ceiling, max(1, first))
        self.outstanding = 0
        self._flow = Flow(now_s)
        self._start: SlowStart | None = SlowStart(self._flow, now_s)
        self._trials = Trials(self._flow)
        self._trial: Trial | None = None
        self._soft = SoftCeiling()
        self._held_since_s = now_s
        self._reference = 0.0  # work a second at the held size
        self._broken, self._broken_s = 0, float("-inf")
        self._saturated_s = self._lagged_s = float("-inf")

    @property
    def starting(self) -> bool:
        """Whether it still doubles."""
        return self._start is not None

    def bound(self, ceiling: int, now_s: float) -> None:
        """Let it grow no further than this, for good."""
        if ceiling < self.ceiling:
            self.ceiling = max(1, ceiling)
            if self.size > self.ceiling or self._trial is not None:
                self._hold(now_s, self.size)

    # What happens

    def began(self, now_s: float, requests: int = 1) -> None:
        """Requests were given out."""
        self._pass_time(now_s)
        if self._start is not None and not self.outstanding:
            self._start.begin_round(now_s)
        self.outstanding += requests
        self._flow.rises(self._in_flight)

    def let_go(self, now_s: float, requests: int = 1) -> None:
        """Requests have ended without a result: refused, failed, taken back, or their worker has died."""
        self._pass_time(now_s)
        self.outstanding = max(0, self.outstanding - requests)
        self._flow.fail(now_s, requests)
        if self._start is not None:
            self._start.fail()

    def moved(
        self, since_s: float, now_s: float, moved_bytes: int, *, ended: int = 0, heads: int = 0, ttfb_sum_s: float = 0.0
    ) -> None:
        """Take a report.

        Args:
            since_s: when what it tells of began: the last report about the same lease, or when that was given out.
            moved_bytes: bytes moved since then.
            ended: requests that have succeeded since then.
            heads: replies that have begun since then.
            ttfb_sum_s: their times to first byte, added up; of PUTs, from the last byte sent to the reply.
        """
        self._pass_time(now_s)
        self.outstanding = max(0, self.outstanding - ended)
        self._flow.move(since_s, now_s, moved_bytes, ended)
        if moved_bytes and self._start is not None:
            self._start.move()
        if heads:
            self._flow.begin_replies(heads, ttfb_sum_s, self.size)
            if self._start is not None:
                self._start.begin_replies(heads)
        self._decide(now_s)

    def told(self, until_s: float) -> None:
        """All that was moved before ``until_s`` has been told of; without this, it takes ``REPORT_S`` until it is."""
        self._flow.told_s = until_s

    def tick(self, now_s: float) -> None:
        """Time has passed; at least four times a second while requests are under way."""
        self._pass_time(now_s)
        self._decide(now_s)

    def slow_down(self, now_s: float, *, in_flight: int) -> bool:
        """The service asked for less while ``in_flight`` requests were under way.

        Returns:
            Whether the window was cut; False for a reply to a request that was sent before the last cut.
        """
        return self._cut(now_s, in_flight)

    def broke(self, now_s: float) -> bool:
        """A connection broke, or could not be made; return whether the window was cut."""
        if now_s - self._broken_s > 1.0:
            self._broken, self._broken_s = 0, now_s
        self._broken += 1
        return self._broken > max(1, self._in_flight // BROKEN_SHARE) and self._cut(now_s, self._in_flight)

    def saturated(self, now_s: float, share: float, *, lag_s: float = 0.0) -> None:
        """Tell how busy the workers were since they last told.

        Args:
            share: of the CPU time that they may use, all together. When all of it is used, nothing grows, and fewer in
                flight are tried next: what is delivered then is what the CPU can do, and crowding costs CPU.
            lag_s: how late the event loop of one of them was. A loop that is late by a report is overrun, and the
                window falls by a step.
        """
        if lag_s >= REPORT_S and now_s - self._lagged_s >= HOLD_S and self.size > LEAST:
            self._lagged_s = now_s
            self._hold(now_s, max(LEAST, round(self.size / STEP)))
        if share < SATURATED:
            return
        if self._start is not None:
            self._hold(now_s, self._start.proven(self.size))
        if now_s - self._saturated_s > 1.0:
            self._trials.wake_down()
        self._saturated_s = now_s

    # Decisions

    @property
    def _in_flight(self) -> int:
        return min(self.outstanding, self.size)

    @property
    def _most(self) -> int:
        """As far as it may grow now."""
        return self.ceiling if self._soft.size >= self.ceiling else round(self._soft.size)

    def _pass_time(self, now_s: float) -> None:
        self._flow.pass_time(now_s, self._in_flight)

    def _decide(self, now_s: float) -> None:
        if self._start is not None:
            size, over = self._start.next_size(now_s, self.size, self._most)
            grew, self.size = size >= self.size, size
            if over:
                self._hold(now_s, size)
                if grew:
                    self._trials.rest_down(now_s)
        elif self._trial is not None:
            self._go_on_trying(self._trial, now_s)
        else:
            self._go_on_holding(now_s)

    def _hold(self, now_s: float, size: int) -> None:
        self._start = self._trial = None
        self.size = min(size, self.ceiling)
        self._held_since_s = now_s
        self._reference = 0.0

    def _go_on_holding(self, now_s: float) -> None:
        if self._flow.measure_turn(now_s):
            self._notice_change(now_s)
        self._soft.rise(now_s, self.ceiling)
        if self.size < min(self._soft.target, self.ceiling):
            if now_s - self._held_since_s >= REPORT_S:
                self.size, self._held_since_s = (self.size + self._soft.target + 1) // 2, now_s
            return
        self._soft.target = 0
        calm = now_s - self._saturated_s > 2 * REPORT_S
        self._trial = self._trials.begin(now_s, self._held_since_s, self.size, self._most if calm else 0)
        if self._trial is not None:
            self.size = self._trial.size

    def _notice_change(self, now_s: float) -> None:
        """Try at once when delivery at the same size has changed."""
        if now_s - self._held_since_s < 1.0 + REPORT_S + self._trials.settle_s():
            return
        rate = self._flow.rate(now_s - REPORT_S - 1.0, now_s - REPORT_S)
        if self._reference and abs(log_ratio(rate, self._reference)) > max(CHANGED, 3 * self._trials.noise):
            self._trials.wake_up()
            self._trials.wake_down()
            self._reference = rate
        self._reference = rate if not self._reference else self._reference + 0.3 * (rate - self._reference)

    def _go_on_trying(self, trial: Trial, now_s: float) -> None:
        if self.size != trial.base and now_s >= trial.in_end_s:
            self.size = trial.base
            trial.after_s = now_s + self._trials.settle_s()
        if now_s < trial.told_s:
            return
        self._trial = None
        self._held_since_s = trial.after_s
        takes, elasticity = self._trials.judge(trial, now_s)
        if takes:
            self._hold(now_s, trial.size)
            if trial.up and elasticity >= RESTARTS:
                self._start = SlowStart(self._flow, now_s, ahead=AHEAD_AGAIN)

    def _cut(self, now_s: float, in_flight: int) -> bool:
        if not self._soft.hears(now_s):
            return False
        # What was refused was sent before: since then, a pause may have let most of the others end.
        under_way = min(self.size, max(1, in_flight, self._flow.peak))
        self._hold(now_s, self._soft.cut(now_s, under_way, self._accepted(now_s)))
        self._trials.wake_up()
        return True

    def _accepted(self, now_s: float) -> float:
        """Return the share of recent requests that was not refused: as much of the window is borne."""
        # Not those that were sent before the last cut.
        since_s, until_s = max(self._soft.cut_s + 2 * self._flow.ttfb_s, now_s - 1.0), now_s - REPORT_S
        if until_s <= since_s:
            return 0.75
        done, failed = self._flow.ended(since_s, until_s)
        return min(0.85, max(0.25, (done + 6) / (done + failed + 8)))
