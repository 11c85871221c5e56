"""Reads the time of an object as the modification time of its file."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86400


# Objects that were stored together share their seconds, which is what most services tell.
@lru_cache(maxsize=1024)
def mtime_of(last_modified: str) -> int | None:
    """Return an instant of ISO 8601 in nanoseconds since the epoch, without a zone in UTC; None if it is none.

    >>> mtime_of("2024-05-17T12:34:56.789Z"), mtime_of("2024-05-17T14:34:56+02:00"), mtime_of("2024-05-17T12:34:56")
    (1715949296789000000, 1715949296000000000, 1715949296000000000)
    >>> mtime_of(""), mtime_of("yesterday")
    (None, None)
    """
    try:
        instant = datetime.fromisoformat(last_modified)
    except ValueError:
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    since = instant - _EPOCH
    return ((since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds) * 1000
