"""Reads sizes such as ``8MiB`` from text, and writes them.

8MiB = 8M = 8,388,608 bytes    8MB = 8,000,000 bytes    8388608 = 8388608B
"""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:[.][0-9]+)?)\s*([KMGT]?)(i?B?)", re.IGNORECASE)

_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Return a size in bytes; a lone letter is binary, as in s5cmd and aws-cli.

    >>> parse_size("8MiB") == parse_size("8M") == parse_size("8388608") == 8 * 1024 * 1024
    True
    >>> parse_size("8MB"), parse_size("1.5 kib"), parse_size("0")
    (8000000, 1536, 0)

    Raises:
        ValueError: it is no size; the message says what one looks like.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (not found[2] and found[3].lower().startswith("i")):
        raise ValueError(f"{text!r} is not a size; write bytes, or a number with K, M, G, T, KiB, MB …")
    number, prefix, suffix = str(found[1]), str(found[2]).upper(), str(found[3]).lower()
    base = 1000 if suffix == "b" and prefix else 1024
    unit_bytes: int = base ** _POWERS[prefix]
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    size_bytes, rest = divmod(int(whole + fraction) * unit_bytes, scale)
    if rest:
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return size_bytes


def format_size(size_bytes: float) -> str:
    """Return a size for people, in binary units.

    >>> format_size(0), format_size(1023), format_size(8 * 1024 * 1024), format_size(1.5 * 1024**3)
    ('0 B', '1023 B', '8.0 MiB', '1.5 GiB')
    """
    unit, value = "B", float(size_bytes)
    for following in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        unit, value = following, value / 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
