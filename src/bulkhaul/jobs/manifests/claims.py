"""Remembers on disk which row claimed a name, so that memory does not grow with the number of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from bulkhaul.model.limits import KIB, MIB

_CACHE_BYTES = 32 * MIB
"""Pages of the database that stay in memory; the rest is in a temporary file."""


class Claims:
    """The names of one plan, each with the place of the row that claimed it first.

    A name is kept as 128 bits of BLAKE2b: that two of 10¹⁰ share them has a chance of 10⁻¹⁹.
    """

    def __init__(self) -> None:
        import sqlite3

        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(f"PRAGMA cache_size = {-_CACHE_BYTES // KIB}")
        self._database.execute("CREATE TABLE claims (digest BLOB PRIMARY KEY, at INTEGER, place TEXT) WITHOUT ROWID")
        self._count = 0

    def claim(self, rows: Sequence[tuple[str, str]]) -> list[str]:
        """Claim the name of each (name, place); return for each the place of the earlier row that has it, else "".

        Raises:
            sqlite3.Error: the temporary file cannot grow.
        """
        numbered = [
            (hashlib.blake2b(name.encode(), digest_size=16).digest(), at, place)
            for at, (name, place) in enumerate(rows, self._count)
        ]
        self._count += len(numbered)
        before = self._database.total_changes
        self._database.execute("BEGIN")
        # In the order of the digests, neighbours are written together; of equal ones the first row comes first.
        self._database.executemany("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", sorted(numbered))
        self._database.execute("COMMIT")
        if self._database.total_changes - before == len(numbered):
            return [""] * len(numbered)
        return [self._earlier(digest, at) for digest, at, _ in numbered]

    def _earlier(self, digest: bytes, own: int) -> str:
        at, place = self._database.execute("SELECT at, place FROM claims WHERE digest = ?", (digest,)).fetchone()
        return "" if at == own else str(place)

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
