"""Tells the time of an object in UTC, as text, and as the modification time of its file."""

from __future__ import annotations

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86400


def in_utc(told: datetime) -> datetime:
    """Return an instant in UTC, which services mean where they tell no zone.

    Raises:
        ValueError: its year has no four digits there.
    """
    try:
        return told.astimezone(UTC) if told.tzinfo is not None else told.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("no year of four digits") from error


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
