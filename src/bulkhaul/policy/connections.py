"""Decides how many connections a benchmark tries next, and which number suits: more of them bring no more."""

from __future__ import annotations

FIRST, MOST = 8, 512
"""Numbers that are tried. The most is ``MOST_IN_FLIGHT`` of an engine."""

ENOUGH = 0.95
"""The smallest number that brings this share of the best is chosen: more would only make each request wait."""

NO_MORE = 2
"""So many numbers in a row that bring less than a tenth more end the search: one may have been a bad moment."""

WORTH = 1.1


class Climb:
    """A search from few connections to many."""

    def __init__(self) -> None:
        self._rates: dict[int, float] = {}

    def next(self) -> int | None:
        """Return the number to try, None if enough were tried."""
        if not self._rates:
            return FIRST
        tried = sorted(self._rates)
        worth = max((place for place, one in enumerate(tried) if self._is_worth(tried, place, one)), default=0)
        if tried[-1] >= MOST or len(tried) - 1 - worth >= NO_MORE:
            return None
        return 2 * tried[-1]

    def saw(self, connections: int, rate: float) -> None:
        """Take the requests a second that a number of connections brought."""
        self._rates[connections] = rate

    @property
    def best(self) -> int:
        """The number that suits."""
        most = max(self._rates.values())
        return min(one for one, rate in self._rates.items() if rate >= ENOUGH * most)

    def _is_worth(self, tried: list[int], place: int, one: int) -> bool:
        before = max((self._rates[other] for other in tried[:place]), default=0.0)
        return self._rates[one] >= WORTH * before
