"""Reads a span of time from text, such as ``90s`` or ``7d``.

3600 = 3600s    90m    12h    7d    2w
"""

from __future__ import annotations

import re

_SPAN = re.compile(r"([0-9]{1,9})\s*([smhdw]?)", re.IGNORECASE | re.ASCII)

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def parse_duration(text: str) -> int:
    """Return a span of time in seconds.

    >>> parse_duration("3600") == parse_duration("1h") == parse_duration("60M") == 3600
    True
    >>> parse_duration("7d"), parse_duration("2 w")
    (604800, 1209600)

    Raises:
        ValueError: it is none; the message says what one looks like.
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a span of time; write seconds, or a number with s, m, h, d or w")
    return int(found[1]) * _SECONDS[found[2].lower()]
