"""Reads and writes instants to the nanosecond, as RFC 3339 has them: a ``datetime`` keeps microseconds only."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime, timedelta

_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})"
    r"(?:[.]([0-9]{1,9})[0-9]*)?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_instant(text: str) -> int:
    """Return nanoseconds since the epoch.

    >>> read_instant("1970-01-01T01:00:01.25+01:00")
    1250000000
    >>> read_instant("2019-11-13T16:07:06.3173431Z") % 1_000_000_000
    317343100
    >>> read_instant("2019-11-13T24:00:00Z")
    Traceback (most recent call last):
    ValueError: '2019-11-13T24:00:00Z' is no instant such as 2019-11-13T16:07:06.3173431Z

    Raises:
        ValueError: it is no instant of RFC 3339.
    """
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no instant such as 2019-11-13T16:07:06.3173431Z")
    second, fraction, zone = found.groups()
    return _second(second, zone) * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


def write_instant(instant_ns: int) -> str:
    """Return an instant in UTC, without zeros at the end of its fraction.

    >>> write_instant(1_250_000_000), write_instant(0)
    ('1970-01-01T00:00:01.25Z', '1970-01-01T00:00:00Z')
    """
    seconds, fraction = divmod(instant_ns, 1_000_000_000)
    return f"{_second_text(seconds)}{f'.{fraction:09d}'.rstrip('0') if fraction else ''}Z"


@functools.lru_cache(maxsize=4096)
def _second(text: str, zone: str) -> int:
    """Return seconds since the epoch; many instants of a log share one."""
    there = datetime.fromisoformat(text.upper() + zone.upper())
    return (there - _EPOCH) // timedelta(seconds=1)


@functools.lru_cache(maxsize=4096)
def _second_text(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
