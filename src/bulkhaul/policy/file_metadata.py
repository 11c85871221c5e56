"""Writes and reads the user metadata that keeps a file's modification time and mode, by the conventions of rclone.

    mtime   seconds since the epoch, decimal, with up to 9 digits of fraction: 1700000000.123456789
    mode    st_mode in octal: 100664

What a service tells is believed only where a file can have it. Source: rclone's documentation of its S3 backend
("Modification times and hashes") and of the local one ("Metadata").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec

from bulkhaul.model.preserving import Kept
from bulkhaul.model.writing import ObjectOptions

MTIME = "mtime"
MODE = "mode"

_SECONDS = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,9}))?", re.ASCII)
_OCTAL = re.compile(r"[0-7]{1,7}", re.ASCII)

_LAST_S = 253_402_300_799
"""Last second of the year 9999: what is later counts another unit than seconds."""

_FORMAT, _REGULAR, _PERMISSIONS = 0o170000, 0o100000, 0o777
"""Source: inode(7)."""


class Found(Protocol):
    """What is known of a file, as ``os.stat`` tells it."""

    @property
    def st_mtime_ns(self) -> int:
        """When it was modified, in nanoseconds since the epoch."""
        ...

    @property
    def st_mode(self) -> int:
        """Its type and mode."""
        ...


def metadata_of(found: Found, kept: Collection[Kept]) -> dict[str, str]:
    """Return the user metadata that keeps what is asked for of a file."""
    metadata = {}
    if Kept.TIMESTAMPS in kept:
        metadata[MTIME] = seconds_of(found.st_mtime_ns)
    if Kept.MODE in kept:
        metadata[MODE] = f"{found.st_mode:o}"
    return metadata


def with_kept(options: ObjectOptions, found: Found, kept: Collection[Kept]) -> ObjectOptions:
    """Return options that keep what is asked for of a file; metadata that the caller names stays."""
    metadata = {**metadata_of(found, kept), **options.content.metadata}
    return msgspec.structs.replace(options, content=msgspec.structs.replace(options.content, metadata=metadata))


def seconds_of(time_ns: int) -> str:
    """Return nanoseconds since the epoch as decimal seconds.

    >>> seconds_of(1700000000123456789), seconds_of(1700000000500000000), seconds_of(-1), seconds_of(0)
    ('1700000000.123456789', '1700000000.5', '-0.000000001', '0')
    """
    seconds, rest = divmod(abs(time_ns), 1_000_000_000)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{'-' if time_ns < 0 else ''}{seconds}{fraction}"


def kept_mtime(metadata: Mapping[str, str]) -> int | None:
    """Return the modification time that metadata tells, in nanoseconds since the epoch; None if it tells none.

    >>> kept_mtime({"mtime": "1700000000.123456789"}), kept_mtime({"mtime": "-0.5"}), kept_mtime({})
    (1700000000123456789, -500000000, None)
    >>> kept_mtime({"mtime": "1700000000123"}), kept_mtime({"mtime": "1e9"}), kept_mtime({"mtime": "nan"})
    (None, None, None)
    """
    match = _SECONDS.fullmatch(metadata.get(MTIME, ""))
    if match is None or int(match.group(2)) > _LAST_S:
        return None
    since = int(match.group(2)) * 1_000_000_000 + int((match.group(3) or "").ljust(9, "0"))
    return -since if match.group(1) else since


def kept_mode(metadata: Mapping[str, str]) -> int | None:
    """Return the permission bits that metadata tells; None if it tells none, or of something that is no regular file.

    Never setuid, setgid or sticky: whoever can write the object would give them.

    >>> [oct(kept_mode({"mode": text}) or 0) for text in ("100640", "0104755", "600")]
    ['0o640', '0o755', '0o600']
    >>> kept_mode({"mode": "40755"}), kept_mode({"mode": "rw-r--r--"}), kept_mode({})
    (None, None, None)
    """
    text = metadata.get(MODE, "")
    if not _OCTAL.fullmatch(text) or int(text, 8) & _FORMAT not in (0, _REGULAR):
        return None
    return int(text, 8) & _PERMISSIONS
