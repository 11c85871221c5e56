"""Reads a report of ours as a manifest: the objects that failed, to be done once more, or all of them."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BufferedIOBase

import msgspec

from bulkhaul.jobs.manifests.fields import BadField
from bulkhaul.jobs.manifests.jsonl import source_of
from bulkhaul.jobs.manifests.lines import TOO_LONG, numbered_lines
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.errors import LocalError
from bulkhaul.model.rows import Action, ReportRow, Status

_ETAG_OF_SOURCE = (Action.DOWNLOAD, Action.DELETE, Action.RESTORE)
"""What was not stored by us: the report has the ETag of the source, not of the destination."""

_decode = msgspec.json.Decoder(ReportRow).decode


def report_rows(file: BufferedIOBase, name: str, *, failed_only: bool) -> Iterator[Listed | BadRow]:
    """Yield the object of each row of the report, or of each that failed; each keeps its destination.

    A report over several plans has a row for each try, and the last one counts: what failed is kept on disk until all
    is read. With ``failed_only`` false every try is a row.

    A row that could not be planned cannot be planned now: where its key leads may be the place of another object.

    Raises:
        LocalError: the temporary files cannot grow.
    """
    if not failed_only:
        for number, _, row in _read(file, failed_only=False):
            where = f"{name}:{number}"
            yield BadRow(where, row) if isinstance(row, str) else _listed(row, where)
        return
    with closing(_Failed()) as failed:
        for number, line, row in _read(file, failed_only=True):
            failed.add(number, line, row)
        for number, line, fault in failed.lines():
            where = f"{name}:{number}"
            yield BadRow(where, fault) if fault else _listed(_decode(line), where)


def _read(file: BufferedIOBase, *, failed_only: bool) -> Iterator[tuple[int, bytes, ReportRow | str]]:
    """Yield number, bytes and row of each line, or what is wrong with it; rows that are not asked for may be."""
    for number, line in numbered_lines(file):
        if line is None:
            yield number, b"", TOO_LONG
            continue
        try:
            row = _decode(line)
            if row.status is Status.FAILED or not failed_only:
                _listed(row, "")
        except BadField as error:
            yield number, line, str(error)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield number, line, f"no row of a report: {error}"
        else:
            yield number, line, row


_BAD = -1
"""Stands for the plan of a line that is no row."""


class _Failed:
    """The rows of a report that failed and that no later plan has tried again; they are on disk."""

    def __init__(self) -> None:
        self._lines = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._later = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._later.execute("PRAGMA journal_mode = OFF")
        self._later.execute("CREATE TABLE later (name BLOB PRIMARY KEY, plan INTEGER) WITHOUT ROWID")
        self._later.execute("BEGIN")  # nothing is kept, so nothing is committed
        self._retried = False

    def add(self, number: int, line: bytes, row: ReportRow | str) -> None:
        """Take the row of a line, or what is wrong with it."""
        if isinstance(row, str):
            self._keep(number, _BAD, b"", msgspec.json.encode(row))
            return
        if row.plan > 0:
            self._retried = True
            with _room():
                self._later.execute(_LATER, (_name(row), row.plan))
        if row.status is Status.FAILED:
            self._keep(number, row.plan, _name(row), line)

    def lines(self) -> Iterator[tuple[int, bytes, str]]:
        """Yield number and bytes of each line, and what is wrong with it, or nothing."""
        with _room():
            self._lines.seek(0)
            for entry in self._lines:
                number, plan, name, line = entry.split(b" ", 3)
                if int(plan) == _BAD:
                    yield int(number), b"", msgspec.json.decode(line, type=str)
                elif not (self._retried and self._is_tried(bytes.fromhex(name.decode()), after=int(plan))):
                    yield int(number), line, ""

    def close(self) -> None:
        """Forget everything."""
        self._later.close()
        self._lines.close()

    def _keep(self, number: int, plan: int, name: bytes, line: bytes) -> None:
        with _room():
            self._lines.write(b"%d %d %s %s\n" % (number, plan, name.hex().encode(), line))

    def _is_tried(self, name: bytes, *, after: int) -> bool:
        select = "SELECT 1 FROM later WHERE name = ? AND plan > ?"
        return self._later.execute(select, (name, after)).fetchone() is not None


_LATER = "INSERT INTO later VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET plan = max(plan, excluded.plan)"


def _name(row: ReportRow) -> bytes:
    """Return what the tries of one object have in common: 128 bits of it, as ``Claims`` keeps."""
    told = f"{row.source}\0{row.source_version_id}\0{row.destination}"
    return hashlib.blake2b(told.encode(), digest_size=16).digest()


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        text = "what failed cannot be kept in a temporary file; free some space, or set TMPDIR"
        raise LocalError(text, tempfile.gettempdir(), str(error)) from error


def _was_not_planned(row: ReportRow) -> bool:
    return row.status is Status.FAILED and row.action is not Action.DELETE and not row.destination


def _listed(row: ReportRow, where: str) -> Listed | BadRow:
    if _was_not_planned(row):
        return BadRow(where, row.reason or "it had no destination", row.source)
    if row.older is not None:
        text = "it is one of all versions of its key, and has its place among them; `bulkhaul job retry` tries it again"
        return BadRow(where, text, row.source)
    bucket, key = source_of(row.source)
    return Listed(
        bucket=bucket,
        key=key,
        version_id=row.source_version_id,
        size_bytes=row.size,
        etag=row.etag if row.action in _ETAG_OF_SOURCE else "",
        destination=row.destination,
        action=row.action,
        reason=row.reason,
        where=where,
    )
