"""Writes and reads certificates: what was equal, row by row, under one hash that any change would change.

{"certificate": 1, "a": …, "b": …}          the first leaf
{"key": …, "size": …, "evidence": …}        a leaf each, in the order of keys
{"rows": …, "bytes": …, "root": …}          the Merkle root over the bytes of all lines before it (policy.merkle)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import BinaryIO, TypeVar

import msgspec

from bulkhaul.disk.source import reading_error
from bulkhaul.disk.whole_files import whole_file
from bulkhaul.jobs.manifests.lines import TOO_LONG, numbered_lines
from bulkhaul.model.errors import ManifestError
from bulkhaul.model.structs import learnt
from bulkhaul.model.verdicts import Evidence, PairResult, SideFacts
from bulkhaul.policy.merkle import MerkleRoot

T = TypeVar("T")

VERSION = 1
"""Of the format; a certificate of another one is refused."""


class CertificateHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first line.

    Attributes:
        certificate: version of the format.
        a, b: the places that were compared.
        compare: what they were compared by.
        single: each place is one object or file.
        made: when, ISO 8601 in UTC.
    """

    certificate: int
    a: str
    b: str
    compare: str
    single: bool
    made: str


class CertificateRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One name that was equal. ``a``, ``b``: what each side told, and what was computed of it."""

    key: str
    size: int
    evidence: Evidence
    a: SideFacts
    b: SideFacts


class CertificateEnd(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last line. ``root``: in hex."""

    rows: int
    bytes: int
    root: str


learnt(CertificateHead, CertificateRow, CertificateEnd)


class CertificateWriter:
    """Writes a certificate, which appears whole at ``finish``, or never."""

    def __init__(self, path: str, head: CertificateHead) -> None:
        """Begin it.

        Raises:
            LocalError: it cannot be written there.
        """
        self._file = whole_file(path)
        self._out: BinaryIO | None = self._file.__enter__()
        self._merkle = MerkleRoot()
        self._rows = self._bytes = 0
        self._line(head)

    def add(self, results: Iterable[PairResult]) -> None:
        """Add names that are equal, in ascending order.

        Raises:
            OSError: it cannot be written.
        """
        for one in results:
            assert one.evidence is not None
            ours, theirs = one.facts
            self._line(CertificateRow(one.name, one.size, one.evidence, ours or SideFacts(), theirs or SideFacts()))
            self._rows += 1
            self._bytes += one.size

    def finish(self) -> str:
        """Write the last line, give the file its name, and return the root.

        Raises:
            LocalError: it cannot be written.
        """
        root = self._merkle.hex()
        assert self._out is not None
        self._out.write(msgspec.json.encode(CertificateEnd(self._rows, self._bytes, root)) + b"\n")
        self._out = None
        self._file.__exit__(None, None, None)
        return root

    def discard(self) -> None:
        """Leave nothing behind. Safe to call after ``finish``."""
        if self._out is not None:
            self._out = None
            error = GeneratorExit()
            self._file.__exit__(GeneratorExit, error, None)

    def _line(self, fields: msgspec.Struct) -> None:
        assert self._out is not None
        line = msgspec.json.encode(fields)
        self._merkle.add(line)
        self._out.write(line + b"\n")


class Certificate:
    """A certificate that was read through and found unchanged.

    Attributes:
        head, end: its first and its last line.
    """

    def __init__(self, path: str) -> None:
        """Open it, and recompute its root.

        Raises:
            ManifestError: it is no certificate, or was changed; the message names file, line and field.
            LocalError: it cannot be read.
        """
        self._path = path
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by close
            self._found = os.fstat(self._file.fileno())
        except OSError as error:
            raise reading_error(error, path) from error
        try:
            self.head, self.end = self._checked()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self._file.close()

    def rows(self, chosen: Iterable[int] | None = None) -> Iterator[CertificateRow]:
        """Yield all rows, or those with these numbers (from 0, ascending).

        Raises:
            ManifestError: the file was changed since it was opened.
        """
        wanted = None if chosen is None else iter(chosen)
        following = None if wanted is None else next(wanted, None)
        for number, (_, line) in enumerate(self._lines()):
            if number == 0 or number > self.end.rows:
                continue
            if wanted is None or number - 1 == following:
                yield msgspec.json.decode(line, type=CertificateRow)
                following = None if wanted is None else next(wanted, None)
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._found.st_size, self._found.st_mtime_ns):
            raise ManifestError("the certificate was changed while it was read", self._path)

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        self._file.seek(0)
        stream: BufferedIOBase = self._file
        for number, line in numbered_lines(stream):
            if line is None:
                raise ManifestError(TOO_LONG, f"{self._path}:{number}")
            yield number, line

    def _checked(self) -> tuple[CertificateHead, CertificateEnd]:
        merkle, lines = MerkleRoot(), self._lines()
        first = next(lines, None)
        if first is None:
            raise ManifestError("the file is empty; it is no certificate", self._path)
        head = self._decoded(*first, CertificateHead)
        if head.certificate != VERSION:
            text = f"the field certificate: version {head.certificate}; this release reads version {VERSION}"
            raise ManifestError(text, f"{self._path}:{first[0]}")
        merkle.add(first[1])
        size_bytes = 0
        last_key: str | None = None
        for rows, (number, line) in enumerate(lines):
            if line.startswith(b'{"rows":'):
                end = self._decoded(number, line, CertificateEnd)
                if (after := next(lines, None)) is not None:
                    raise ManifestError("there are lines after the last one", f"{self._path}:{after[0]}")
                self._require(number, "rows", rows, end.rows)
                self._require(number, "bytes", size_bytes, end.bytes)
                self._require(number, "root", merkle.hex(), end.root)
                return head, end
            row = self._decoded(number, line, CertificateRow)
            if last_key is not None and row.key <= last_key:
                text = f"the field key: {row.key!r} comes after {last_key!r}; the certificate was changed"
                raise ManifestError(text, f"{self._path}:{number}")
            last_key = row.key
            merkle.add(line)
            size_bytes += row.size
        raise ManifestError("the last line, with the root, is missing; the certificate is not whole", self._path)

    def _require(self, number: int, field: str, found: object, told: object) -> None:
        if found != told:
            text = (
                f"the field {field}: the lines before it make {found}, and it says {told}; the certificate was changed"
            )
            raise ManifestError(text, f"{self._path}:{number}")

    def _decoded(self, number: int, line: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ManifestError(f"no line of a certificate: {error}", f"{self._path}:{number}") from error
