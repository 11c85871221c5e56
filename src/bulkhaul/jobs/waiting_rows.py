"""Keeps the rows of archived objects on disk while they wait, so that memory does not grow with their number.

A round looks at each of them once, in the order of a listing, also at those that come meanwhile.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from bulkhaul.disk.temporary import uses_temporary_files
from bulkhaul.model.rows import Row

CHUNK_ROWS = 1000
"""Rows that are looked at together: as many as a page of a listing has."""

_NEW = 0
"""The round of rows that were not looked at yet."""

_encode = msgspec.json.Encoder().encode


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """A row that waits.

    Attributes:
        asked: how often the service was asked for its object.
        refused: how often it was handed on, and its object could not be read.
    """

    row: Row
    bucket: str
    key: str
    asked: int = 0
    refused: int = 0


_decode = msgspec.json.Decoder(Row).decode


class WaitingRows:
    """The rows that wait, in a database without a name. ``count``: how many there are."""

    def __init__(self) -> None:
        self.count = 0
        self._round = 1
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE waiting (n INTEGER PRIMARY KEY, round INTEGER, bucket TEXT, key TEXT, asked INTEGER,"
            " refused INTEGER, told BLOB)"
        )
        self._database.execute("CREATE INDEX due ON waiting (round, bucket, key)")

    def add(self, rows: Sequence[Waiting]) -> None:
        """Add rows that are looked at in this round."""
        self._put(rows, _NEW)
        self.count += len(rows)

    @uses_temporary_files
    def due(self) -> list[Waiting]:
        """Return the next rows of this round, those of one bucket in the order of their keys' bytes; empty at its end.

        They are to be given back, or removed, before the next ones are asked for.
        """
        for number in (_NEW, self._round - 1):
            found = self._database.execute(
                f"SELECT told, bucket, key, asked, refused FROM waiting WHERE round = ? "  # noqa: S608 - it is ours
                f"ORDER BY bucket, key LIMIT {CHUNK_ROWS}",
                (number,),
            )
            if rows := [Waiting(_decode(told), *rest) for told, *rest in found]:
                return rows
        return []

    def give_back(self, rows: Sequence[Waiting]) -> None:
        """Have rows wait for the next round."""
        self._put(rows, self._round)

    @uses_temporary_files
    def remove(self, rows: Sequence[Waiting]) -> None:
        """Forget rows."""
        self._database.executemany("DELETE FROM waiting WHERE n = ?", [(one.row.n,) for one in rows])
        self.count -= len(rows)

    def next_round(self) -> None:
        """Begin a round; the one before is at its end."""
        self._round += 1

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    @uses_temporary_files
    def _put(self, rows: Sequence[Waiting], number: int) -> None:
        told = [(one.row.n, number, one.bucket, one.key, one.asked, one.refused, _encode(one.row)) for one in rows]
        self._database.executemany("INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?)", told)
