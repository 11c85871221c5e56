"""Remembers the names of one run on disk, so that memory does not grow with their number.

ascending names ─▶ a spool                                none of them can be there already: nothing is looked up
the first that does not ascend ─▶ database ◀─ the spool   from now on each is looked up
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterable
from typing import BinaryIO

import msgspec

from bulkhaul.disk.temporary import uses_temporary_files

SPOOLED_IN_MEMORY = 1000
"""Names that are held back before they are written to the spool together."""


class SeenNames:
    """The names of one run, each with what has taken it."""

    def __init__(self) -> None:
        self._last: str | None = None
        self._held: list[tuple[bytes, str]] = []
        self._spool: BinaryIO | None = None
        self._database: _Database | None = None

    def earlier(self, name: str, taker: str) -> str:
        """Return who has taken a name already, empty if nobody has; then remember this one.

        Args:
            taker: some 30 bytes are kept of each name, and this.

        Raises:
            LocalError: there is no room for temporary files.
        """
        if self._database is None and (self._last is None or self._last < name):
            self._last = name
            self._held.append((_digest(name), taker))
            if len(self._held) >= SPOOLED_IN_MEMORY:
                self._write()
            return ""
        if self._database is None:
            self._database = self._looked_up()
        return self._database.earlier(_digest(name), taker)

    def close(self) -> None:
        """Forget everything."""
        if self._spool is not None:
            with contextlib.suppress(OSError):  # it cannot be written, as was told, and nobody will read it
                self._spool.close()
        if self._database is not None:
            self._database.close()

    @uses_temporary_files
    def _write(self) -> None:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(prefix="bulkhaul-names-")  # noqa: SIM115 - it lives as long as the run
        page = msgspec.msgpack.encode(self._held)
        self._spool.write(len(page).to_bytes(4, "little") + page)
        self._held.clear()

    @uses_temporary_files
    def _looked_up(self) -> _Database:
        """Return a database of all names so far."""
        database = _Database()
        spool, self._spool = self._spool, None
        if spool is not None:
            with spool:
                spool.seek(0)
                while size := spool.read(4):
                    page = spool.read(int.from_bytes(size, "little"))
                    database.add(msgspec.msgpack.decode(page, type=list[tuple[bytes, str]]))
        database.add(self._held)
        self._held = []
        return database


class _Database:
    def __init__(self) -> None:
        import sqlite3

        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, taker TEXT) WITHOUT ROWID")

    def add(self, names: Iterable[tuple[bytes, str]]) -> None:
        self._connection.executemany("INSERT INTO seen VALUES (?, ?)", names)

    @uses_temporary_files
    def earlier(self, digest: bytes, taker: str) -> str:
        found = self._connection.execute("SELECT taker FROM seen WHERE digest = ?", (digest,)).fetchone()
        if found is None:
            self._connection.execute("INSERT INTO seen VALUES (?, ?)", (digest, taker))
        return str(found[0]) if found else ""

    def close(self) -> None:
        self._connection.close()


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
