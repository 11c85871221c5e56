"""Tells the time of an object as text, and as the modification time of its file."""

from __future__ import annotations

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86400


def iso_text(instant: datetime | None) -> str:
    """Return an instant in ISO 8601, as lines of JSON tell it; empty for none."""
    return instant.isoformat() if instant is not None else ""


def mtime_of(last_modified: datetime | None) -> int | None:
    """Return an instant in nanoseconds since the epoch, without a zone in UTC; None for none.

    >>> mtime_of(datetime(2024, 5, 17, 12, 34, 56, 789000, UTC)), mtime_of(datetime(2024, 5, 17, 12, 34, 56))
    (1715949296789000000, 1715949296000000000)
    """
    if last_modified is None:
        return None
    since = (last_modified if last_modified.tzinfo is not None else last_modified.replace(tzinfo=UTC)) - _EPOCH
    return ((since.days * _DAY_S + since.seconds) * 1_000_000 + since.microseconds) * 1000
