"""Keeps on disk the planned rows of a run whose objects are waited for, so that memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from bulkhaul.disk.temporary import uses_temporary_files
from bulkhaul.model.rows import Row

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


class ParkedRows:
    """Rows by their numbers, each with the number of its shard, in a database without a name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE parked (n INTEGER PRIMARY KEY, shard INTEGER, told BLOB)")

    @uses_temporary_files
    def add(self, shard: int, rows: Iterable[Row]) -> None:
        """Add rows of a shard.

        Raises:
            LocalError: there is no room for temporary files.
        """
        told = [(row.n, shard, _encode(row)) for row in rows]
        self._database.executemany("INSERT INTO parked VALUES (?, ?, ?)", told)

    @uses_temporary_files
    def take(self, n: int) -> tuple[int, Row] | None:
        """Remove a row; return it with the number of its shard, None if it is not here.

        Raises:
            LocalError: the temporary file cannot be read or written.
        """
        # Not by RETURNING: systems whose Python is new enough have a SQLite that does not know it yet (before 3.35).
        found = self._database.execute("SELECT shard, told FROM parked WHERE n = ?", (n,)).fetchone()
        if found is None:
            return None
        self._database.execute("DELETE FROM parked WHERE n = ?", (n,))
        return found[0], _decode(found[1])

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
