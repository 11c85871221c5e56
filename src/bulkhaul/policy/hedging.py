"""Decides when a GET whose reply has not begun gets a twin, and whether there is budget for it.

    sent ──no head after after_s()──▶ take() ──▶ a twin on a fresh connection, once; whichever head comes first wins

One reply in a hundred that takes seconds holds its connection up for as long as a hundred others. A twin is nearly
always faster, but where all replies are slow twins only add load. So each success pays for a twentieth of a twin, and
nothing is hedged while the service asks for less, is away, or this machine has no CPU to spare.

Source: Dean and Barroso, "The Tail at Scale" (CACM 56/2, 2013), hedged requests: after the 95th percentile.
"""

from __future__ import annotations

from bisect import bisect_left

LEAST_S = 1.0
"""No twin before this: what is late by less is cheaper to wait for than to ask for twice."""

TIMES_P95 = 3.0
"""No twin before this multiple of the recent 95th percentile, so that a service which is slow for all gets none."""

HEDGE_COST = 20
"""Tokens of one twin; a reply gives 1 back, so twins are at most a twentieth of all requests, beside the first ten."""

FIRST_TOKENS = 10 * HEDGE_COST
"""How many tokens there are at first."""

CAPACITY = 100 * HEDGE_COST
"""The most tokens: two thousand replies have paid for them, so that a run has them for late replies at its end."""

_FIRST_S = 0.001
_GROWTH = 1.25
_BUCKETS = 52  # 1 ms × 1.25⁵¹: 87 s, longer than a request may be silent
_EDGES_S = tuple(_FIRST_S * _GROWTH**bucket for bucket in range(_BUCKETS))
_FORGET_AFTER = 512


class Hedging:
    """The wait before a twin, and the budget of twins, of one worker.

    Attributes:
        tokens: the budget; a twin costs ``HEDGE_COST``.
    """

    __slots__ = ("_count", "_counts", "tokens")

    def __init__(self) -> None:
        self.tokens = FIRST_TOKENS
        self._counts = [0.0] * _BUCKETS
        self._count = 0.0

    def note(self, ttfb_s: float) -> None:
        """A reply has begun after so many seconds; for a pair of twins, of the one that won."""
        self.tokens = min(CAPACITY, self.tokens + 1)
        # Every small object passes here: a search costs half as much as a logarithm. The last bucket has no upper edge.
        self._counts[bisect_left(_EDGES_S, ttfb_s, 0, _BUCKETS - 1)] += 1.0
        self._count += 1.0
        if self._count >= _FORGET_AFTER:  # halved, so that the estimate follows the last thousand replies
            self._counts = [count / 2 for count in self._counts]
            self._count /= 2

    def p95_s(self) -> float:
        """Return the upper edge of the recent 95th percentile's bucket, at most a quarter too long; 0 without replies.

        >>> hedging = Hedging()
        >>> for _ in range(100):
        ...     hedging.note(0.100)
        >>> 0.100 <= hedging.p95_s() <= 0.125
        True
        """
        above = self._count * 0.05
        if not self._count:
            return 0.0
        for bucket in range(_BUCKETS - 1, -1, -1):
            above -= self._counts[bucket]
            if above < 0:
                return _EDGES_S[bucket]
        return _FIRST_S

    def after_s(self) -> float:
        """Return how long a request waits for the head of its reply before it may get a twin, in seconds."""
        return max(LEAST_S, TIMES_P95 * self.p95_s())

    def take(self, *, calm: bool = True) -> bool:
        """Pay for one twin; False when there is no budget.

        Args:
            calm: the service is neither throttling nor away, and this machine has CPU to spare.
        """
        if not calm or self.tokens < HEDGE_COST:
            return False
        self.tokens -= HEDGE_COST
        return True
