"""Holds how far each part of one transfer is, one row a part.

table: structured[n_parts] with attempt, bytes, crc

numpy takes 0.13 s and 16 MiB to import, so a table of few rows is a list, and only objects of very many parts need it.
"""

from __future__ import annotations

from typing import Any, Protocol

LISTED_PARTS = 1_000
"""Most rows of a table that is a list: it takes 0.8 ms and 230 KB. One of 10,000 rows would take 13 ms and 2.3 MB."""


class PartTable(Protocol):
    """Rows by index, columns by name: ``table[3]["crc"]`` is ``table["crc"][3]``."""

    def __getitem__(self, at: Any, /) -> Any:
        """Return a row, or a column."""
        ...

    def __len__(self) -> int:
        """Return the number of rows."""
        ...


PART_FIELDS = (
    ("attempt", "u2"),  # times leased, 1-based once leased
    ("bytes", "u8"),  # received and kept, contiguous from the part's start
    ("crc", "u8"),  # checksum of those bytes
)
"""One row of many: 18 bytes, so 10,000 parts take 180 KB."""

_NEW = {"attempt": 0, "bytes": 0, "crc": 0}


class _Rows:
    """A table that is a list of rows."""

    def __init__(self, n_parts: int) -> None:
        self._rows: list[dict[str, int]] = [_NEW.copy() for _ in range(n_parts)]

    def __getitem__(self, at: Any, /) -> Any:
        return [row[at] for row in self._rows] if isinstance(at, str) else self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)


def new_part_table(n_parts: int) -> PartTable:
    """Return ``structured[n_parts]``, nothing of any part received."""
    if n_parts <= LISTED_PARTS:
        return _Rows(n_parts)
    import numpy as np

    return np.zeros(n_parts, dtype=np.dtype(list(PART_FIELDS)))


def prepare_tables() -> None:
    """Import what a table of more than ``LISTED_PARTS`` rows needs, before it is needed."""
    import numpy  # noqa: F401
