"""Decides how many pages of one listing may be asked for at once: as many as still make pages come faster.

doubles while a doubling brings a quarter more pages a second ─▶ holds ─▶ tries again now and then
"""

from __future__ import annotations

from typing import Final

MOST_PAGES: Final = 32
"""Pages under way at once. A service that answers in 30 ms could so send 1,000 pages a second; no client reads half."""

_WORTH_IT: Final = 1.25
"""How many times as many pages a second must have come for the limit to double once more."""

_WORSE: Final = 0.7
"""As few pages a second as this, of those before the limit doubled, take the doubling back."""

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
        self._began_s: float | None = None
        self._pages = 0
        self._rate = 0.0
        self._before = 1
        self._held = 0

    def arrived(self, now_s: float) -> None:
        """Count a page that has come. A round is as many pages as may be under way."""
        if self._began_s is None:
            # The first page: nothing was under way beside it, so a second one can be.
            self._began_s, self.limit = now_s, min(2, self._most)
            return
        self._pages += 1
        if self._pages < max(self.limit, 2):
            return
        rate = self._pages / max(now_s - self._began_s, 1e-6)
        self._began_s, self._pages = now_s, 0
        if self._held:
            self._held -= 1
            if not self._held:
                self._rate = rate
                self._grow()
        elif rate >= self._rate * _WORTH_IT:
            self._rate = rate
            self._grow()
        else:
            if rate < self._rate * _WORSE:
                self.limit = self._before
            self._held = _HELD_ROUNDS

    def _grow(self) -> None:
        self._before, self.limit = self.limit, min(self.limit * 2, self._most)


__all__ = ["MOST_PAGES", "PagesInFlight"]
