"""Decides how many pages of one listing may be asked for at once: as many as still make pages come faster.

doubles ─▶ a quarter more pages a second? ─▶ doubles again
                      ╰▶ no: takes it back, holds, tries again now and then
"""

from __future__ import annotations

from typing import Final

MOST_PAGES: Final = 32
"""Pages under way at once. A service that answers in 30 ms could so send 1,000 pages a second; no client reads half."""

_WORTH_IT: Final = 1.25
"""How many times as many pages a second must have come for a doubling to stay."""

_HELD_ROUNDS: Final = 12
"""Rounds before the next try, which costs one round if it is in vain."""


class PagesInFlight:
    """Watches the pages of one listing come.

    Attributes:
        limit: pages that may be under way.
    """

    def __init__(self, *, most: int = MOST_PAGES) -> None:
        self.limit = 1
        self._most = most
        self._rate = 0.0  # pages a second before the limit was doubled
        self._tried = False  # it was doubled, and what that brings is not known yet
        self._held = 0
        self._skipped = 0
        self._began_s = 0.0
        self._pages = 0
        self._reached = False

    def arrived(self, now_s: float, *, under_way: int) -> None:
        """Count a page that has come. A round is as many pages as may be under way.

        Args:
            under_way: pages that were under way, this one included.
        """
        if self.limit == 1:
            self._double(now_s)  # nothing was under way beside the first page
            return
        if self._skipped:
            self._skipped -= 1
            self._began_s = now_s
            return
        self._pages += 1
        self._reached = self._reached or under_way >= self.limit
        if self._pages < self.limit:
            return
        rate, reached = self._pages / max(now_s - self._began_s, 1e-6), self._reached
        self._begin_round(now_s)
        if not reached:
            return  # the reader holds the listing back, not the limit
        if self._tried and rate < self._rate * _WORTH_IT:
            self.limit //= 2
            self._tried, self._held = False, _HELD_ROUNDS
        elif self._held:
            self._held -= 1
        elif self.limit < self._most:
            self._rate = rate
            self._double(now_s)

    def _double(self, now_s: float) -> None:
        self._skipped = self.limit  # those that were asked for before
        self.limit, self._tried = min(self.limit * 2, self._most), True
        self._begin_round(now_s)

    def _begin_round(self, now_s: float) -> None:
        self._began_s, self._pages, self._reached = now_s, 0, False


__all__ = ["MOST_PAGES", "PagesInFlight"]
