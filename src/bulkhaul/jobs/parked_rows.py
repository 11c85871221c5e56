"""Keeps on disk the planned rows of a run whose objects are waited for, so that memory does not grow with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from bulkhaul.model.rows import Row

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Row).decode


class ParkedRows:
    """Rows by their numbers, each with the number of its shard, in a database without a name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE parked (n INTEGER PRIMARY KEY, shard INTEGER, told BLOB)")

    def add(self, shard: int, rows: Iterable[Row]) -> None:
        """Add rows of a shard."""
        told = [(row.n, shard, _encode(row)) for row in rows]
        self._database.executemany("INSERT INTO parked VALUES (?, ?, ?)", told)

    def take(self, n: int) -> tuple[int, Row] | None:
        """Remove a row; return it with the number of its shard, None if it is not here."""
        found = self._database.execute("DELETE FROM parked WHERE n = ? RETURNING shard, told", (n,)).fetchone()
        return (found[0], _decode(found[1])) if found is not None else None

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
