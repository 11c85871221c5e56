"""Reads the times of replies, in the forms that services write them; anything else is refused.

Source: XML Schema, xs:dateTime; RFC 9110 §5.6.7, with its obsolete forms.
"""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta, timezone

from bulkhaul.policy.filetimes import in_utc

INSTANT = re.compile(
    r"(?:([0-9]{4})-([0-9]{2})-([0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"|([A-Z][a-z]{2,8}),? ([0-9]{1,2})[ -]([A-Z][a-z]{2})[ -]((?:[0-9]{2}){1,2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"|([A-Z][a-z]{2}) ([A-Z][a-z]{2}) ([ 0-9][0-9]) ([0-9]{2}:[0-9]{2}:[0-9]{2}) ([0-9]{4}))"
    r"(?:\.([0-9]{1,9}))? ?(?:(Z|UTC|GMT)|([+-])([0-9]{2}):?([0-9]{2}))?"
)

_COMMON = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.0{1,9})?Z")
"""As S3 writes it in every listing. Hours end at 23: Python 3.14 takes 24:00 for midnight, and the SDK does not."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAYS = frozenset(_DAYS) | {day[:3] for day in _DAYS}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@functools.lru_cache(maxsize=1024)
def instant(text: str) -> datetime:
    """Return an instant in UTC, which services mean where they tell no zone.

    >>> instant("2024-05-17T12:34:56.000Z") == instant("Fri, 17 May 2024 12:34:56 GMT")
    True
    >>> instant("2024-05-17 12:34:56").tzinfo
    datetime.timezone.utc

    Raises:
        ValueError: it is no instant.
    """
    if (common := _COMMON.fullmatch(text)) is not None:
        return datetime.fromisoformat(common[1]).replace(tzinfo=UTC)  # there is no 13th month
    found = INSTANT.fullmatch(text)
    if found is None:
        raise ValueError("no instant")
    if found[1]:
        year, month, day, clock = int(found[1]), int(found[2]), int(found[3]), found[4]
    elif found[5]:
        year, month, day, clock = _year(found[8]), _month(found[7]), int(found[6]), found[9]
    else:
        year, month, day, clock = int(found[14]), _month(found[11]), int(found[12]), found[13]
    if (weekday := found[5] or found[10]) and weekday not in _WEEKDAYS:
        raise ValueError("no day of the week")
    hour, minute, second = (int(one) for one in clock.split(":"))
    micro = int((found[15] or "").ljust(6, "0")[:6])
    return in_utc(datetime(year, month, day, hour, minute, second, micro, _zone(found)))


def _zone(found: re.Match[str]) -> timezone:
    if not found[17]:
        return UTC
    offset = timedelta(hours=int(found[18]), minutes=int(found[19]))
    return timezone(-offset if found[17] == "-" else offset)


def _month(name: str) -> int:
    return _MONTHS.index(name) + 1


def _year(text: str) -> int:
    """Return the year; one of two digits is never more than 50 years ahead (RFC 9110 §5.6.7)."""
    if len(text) > 2:
        return int(text)
    now = datetime.now(UTC).year
    year = now // 100 * 100 + int(text)
    if year >= now + 50:
        return year - 100
    return year + 100 if year < now - 50 else year


__all__ = ["INSTANT", "instant"]
