"""Logs that the endpoint is away, once that has lasted, and that it is back."""

from __future__ import annotations

import logging

from bulkhaul.policy.outage import Outage

NOTICE_S = 2.0
"""An endpoint that is away for longer is told of: before, nobody has noticed a pause."""

_log = logging.getLogger("bulkhaul")


class OutageNotice:
    """What people were told of the endpoint."""

    def __init__(self, endpoint_url: str) -> None:
        self._endpoint = f"the endpoint {endpoint_url}" if endpoint_url else "the endpoint"  # S3's, or a profile's
        self._away_since_s: float | None = None  # the outage that they were told of

    def look(self, outage: Outage, now_s: float) -> None:
        """Tell what has changed since the last look."""
        if outage.away and outage.began_s is not None:
            if self._away_since_s is None and now_s - outage.began_s >= NOTICE_S:
                self._away_since_s = outage.began_s
                _log.warning(
                    "%s cannot be reached (%s); trying again for %.0f s in all (--retry-for)",
                    self._endpoint,
                    outage.cause,
                    outage.retry_for_s,
                )
        elif self._away_since_s is not None:
            _log.warning("the endpoint is back after %.1f s", now_s - self._away_since_s)
            self._away_since_s = None
