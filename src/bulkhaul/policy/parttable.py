"""Holds what is known of each part of one transfer, one row a part; it must not decide anything.

table: structured[n_parts] with state, attempt, owner, started, bytes, crc

numpy is imported for the first table of more than one row: that takes 0.2 s, and small objects and the bodies of
uploads, which are single parts, never need it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Protocol


class PartTable(Protocol):
    """Rows by index, columns by name: ``table[3]["crc"]`` is ``table["crc"][3]``."""

    def __getitem__(self, at: Any, /) -> Any:
        """Return a row, or a column."""
        ...

    def __setitem__(self, index: Any, row: Any, /) -> None:
        """Replace a row."""
        ...


class PartState(IntEnum):
    """Where a part is: waiting for a worker, leased to one, or received whole."""

    PENDING = 0
    LEASED = 1
    DONE = 2


PART_FIELDS = (
    ("state", "u1"),
    ("attempt", "u2"),  # times leased, 1-based once leased
    ("owner", "i4"),  # worker of the lease, -1 without one
    ("started", "f8"),  # instant of the lease, seconds
    ("bytes", "u8"),  # received and kept, contiguous from the part's start
    ("crc", "u8"),  # checksum of those bytes
)
"""One row: 31 bytes, so 10,000 parts take under 400 KB."""

_NEW = {"state": 0, "attempt": 0, "owner": -1, "started": 0.0, "bytes": 0, "crc": 0}


class _SinglePart:
    """A table of one row, or of none."""

    def __init__(self, n_parts: int) -> None:
        self._rows: list[dict[str, Any]] = [_NEW.copy() for _ in range(n_parts)]

    def __getitem__(self, at: Any, /) -> Any:
        return [row[at] for row in self._rows] if isinstance(at, str) else self._rows[at]

    def __setitem__(self, index: Any, row: Any, /) -> None:
        self._rows[index] = dict(zip(_NEW, row, strict=True))


def new_part_table(n_parts: int) -> PartTable:
    """Return ``structured[n_parts]``, every part pending and unowned."""
    if n_parts <= 1:
        return _SinglePart(n_parts)
    import numpy as np

    table = np.zeros(n_parts, dtype=np.dtype(list(PART_FIELDS)))
    table["owner"] = -1
    return table


def prepare_tables() -> None:
    """Import what a table of many rows needs, before it is needed."""
    import numpy  # noqa: F401
