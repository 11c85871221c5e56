"""Holds how far each part of one transfer is, one row a part.

table: structured[n_parts] with attempt, bytes, crc

numpy is imported for the first table of more than one row: that takes 0.2 s, and small objects and the bodies of
uploads, which are single parts, never need it.
"""

from __future__ import annotations

from typing import Any, Protocol


class PartTable(Protocol):
    """Rows by index, columns by name: ``table[3]["crc"]`` is ``table["crc"][3]``."""

    def __getitem__(self, at: Any, /) -> Any:
        """Return a row, or a column."""
        ...


PART_FIELDS = (
    ("attempt", "u2"),  # times leased, 1-based once leased
    ("bytes", "u8"),  # received and kept, contiguous from the part's start
    ("crc", "u8"),  # checksum of those bytes
)
"""One row: 18 bytes, so 10,000 parts take 180 KB."""

_NEW = {"attempt": 0, "bytes": 0, "crc": 0}


class _SinglePart:
    """A table of one row, or of none."""

    def __init__(self, n_parts: int) -> None:
        self._rows: list[dict[str, Any]] = [_NEW.copy() for _ in range(n_parts)]

    def __getitem__(self, at: Any, /) -> Any:
        return [row[at] for row in self._rows] if isinstance(at, str) else self._rows[at]


def new_part_table(n_parts: int) -> PartTable:
    """Return ``structured[n_parts]``, nothing of any part received."""
    if n_parts <= 1:
        return _SinglePart(n_parts)
    import numpy as np

    return np.zeros(n_parts, dtype=np.dtype(list(PART_FIELDS)))


def prepare_tables() -> None:
    """Import what a table of many rows needs, before it is needed."""
    import numpy  # noqa: F401
