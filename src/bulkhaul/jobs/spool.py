"""Keeps entries on disk until they are needed, so that memory does not grow with their number.

SpooledEntries   as they come, read again in that order     what is to be deleted, at the end
SortedEntries    in any order, read again by name           a listing that is out of order
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence

import msgspec

from bulkhaul.disk.temporary import uses_temporary_files
from bulkhaul.policy.comparison import Entry

PAGE_ENTRIES = 1000
"""Entries that are read again at a time: as many as a page of a listing has."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class SpooledEntries:
    """Entries in a file without a name, one a line. ``count``: how many there are; ``size_bytes``: of all of them."""

    @uses_temporary_files
    def __init__(self) -> None:
        self.count = 0
        self.size_bytes = 0
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close

    @uses_temporary_files
    def add(self, entry: Entry) -> None:
        """Append one.

        Raises:
            LocalError: there is no room for temporary files.
        """
        self._file.write(_encode(entry) + b"\n")
        self.count += 1
        self.size_bytes += entry.size_bytes

    def pages(self) -> Iterator[list[Entry]]:
        """Yield all of them; none may be added any more."""
        self._rewind()
        page: list[Entry] = []
        for line in self._file:
            page.append(_decode(line))
            if len(page) == PAGE_ENTRIES:
                yield page
                page = []
        if page:
            yield page

    def close(self) -> None:
        """Forget everything."""
        with contextlib.suppress(OSError):  # it cannot be written, as was told, and nobody will read it
            self._file.close()

    @uses_temporary_files
    def _rewind(self) -> None:
        self._file.seek(0)


class SortedEntries:
    """Entries by their names, in a database without a name."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE entry (name TEXT PRIMARY KEY, told BLOB) WITHOUT ROWID")

    @uses_temporary_files
    def add(self, page: Sequence[Entry]) -> None:
        """Add a page; of a name that comes twice the later entry counts."""
        rows = [(entry.name, _encode(entry)) for entry in page]
        self._database.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?)", rows)

    def has(self, name: str) -> bool:
        """Whether there is an entry of a name."""
        return self._database.execute("SELECT 1 FROM entry WHERE name = ?", (name,)).fetchone() is not None

    def after(self, name: str | None) -> list[Entry]:
        """Return the next page in the order of the names' bytes: of what comes after one, None for the beginning."""
        where, given = ("", ()) if name is None else ("WHERE name > ?", (name,))
        found = self._database.execute(
            f"SELECT told FROM entry {where} ORDER BY name LIMIT {PAGE_ENTRIES}",  # noqa: S608 - both are ours
            given,
        )
        return [_decode(told) for (told,) in found]

    def close(self) -> None:
        """Forget everything."""
        self._database.close()
