"""Remembers which row claimed a name first, on disk but for two bytes a row.

a run of names ─▶ sorted into a table of a temporary database (written once, in order)
               └▶ a Bloom filter in memory: it tells which run may have a name, so that nearly no table is asked

One large table would be written at a random place for each row; this takes the same time for the last row as for the
first, but for the look into the filters.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bulkhaul.model.errors import LocalError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUN_ROWS = 1 << 17
"""Names that are in memory at most, with their places: some 30 MiB."""

_BITS = RUN_ROWS * 16
_HASHES = 8
"""Sixteen bits a name and eight hashes: of 1,700 names that a run has not, its table is asked for one.
Source: (1 - e^(-8/16))^8, B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors", 1970."""


class Claims:
    """The names of one plan, each with the place of the row that claimed it first.

    A name is kept as 128 bits of BLAKE2b: that two of 10¹⁰ share them has a chance of 10⁻¹⁹.
    """

    def __init__(self, *, run_rows: int = RUN_ROWS) -> None:
        """Begin without names.

        Args:
            run_rows: names of one run; at most ``RUN_ROWS``.
        """
        self._run_rows = run_rows
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._filters: list[NDArray[np.uint8]] = []
        self._recent: dict[bytes, str] = {}

    def claim(self, rows: Sequence[tuple[str, str]]) -> list[str]:
        """Claim the name of each (name, place); return for each the place of the earlier row that has it, else "".

        Raises:
            LocalError: the temporary file cannot grow.
        """
        if not rows:
            return []
        digests = [hashlib.blake2b(name.encode(), digest_size=16).digest() for name, _ in rows]
        try:
            if len(self._recent) >= self._run_rows:
                self._write()
            written = self._written(digests)
        except sqlite3.Error as error:
            text = "the destinations of rows cannot be kept in a temporary file; free some space, or set TMPDIR"
            raise LocalError(text, tempfile.gettempdir(), str(error)) from error
        earlier: list[str] = []
        for at, (digest, (_, place)) in enumerate(zip(digests, rows, strict=True)):
            first = written.get(at) or self._recent.get(digest, "")
            if not first:
                self._recent[digest] = place
            earlier.append(first)
        return earlier

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def _written(self, digests: list[bytes]) -> dict[int, str]:
        """Return the places of those digests, by their indices, that are in a table."""
        found: dict[int, str] = {}
        if not self._filters:
            return found
        spots = _spots(digests)
        for run, bits in enumerate(self._filters):
            hits = ((bits[spots >> 3] >> (spots & 7)) & 1).all(axis=0)
            for at in hits.nonzero()[0].tolist():
                select = f"SELECT place FROM run_{run} WHERE digest = ?"  # noqa: S608 - a number of ours
                if row := self._database.execute(select, (digests[at],)).fetchone():
                    found[at] = str(row[0])
        return found

    def _write(self) -> None:
        import numpy as np

        run = len(self._filters)
        self._database.execute(f"CREATE TABLE run_{run} (digest BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
        self._database.execute("BEGIN")
        insert = f"INSERT INTO run_{run} VALUES (?, ?)"  # noqa: S608 - a number of ours
        self._database.executemany(insert, sorted(self._recent.items()))
        self._database.execute("COMMIT")
        flags = np.zeros(_BITS, dtype=np.bool_)
        flags[_spots(list(self._recent))] = True
        self._filters.append(np.packbits(flags, bitorder="little"))
        self._recent.clear()


def _spots(digests: list[bytes]) -> NDArray[np.int64]:
    """Return the bits of each digest: int64[hashes, n]."""
    import numpy as np

    halves = np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
    steps = np.arange(_HASHES, dtype=np.uint64)[:, np.newaxis]
    return ((halves[:, 0] + steps * (halves[:, 1] | np.uint64(1))) % np.uint64(_BITS)).astype(np.int64)
