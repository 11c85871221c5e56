"""Reads a list of keys or paths, a file or stdin, as pages of the rows of a plan.

The list is read no faster than its rows are taken, and memory holds a page of it. A line that makes no sense is a
failed row that names file and line; the other lines go on.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator

from bulkhaul.disk.seen_names import SeenNames
from bulkhaul.disk.source import reading_error
from bulkhaul.engine.transfers.endpoints import destination_prefix
from bulkhaul.engine.transfers.pipe import PipeReader
from bulkhaul.model.errors import ErrorInfo, UsageError
from bulkhaul.model.limits import KIB
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.file_list import Line, Lines, ListedNames

STDIN = "-"

READ_BYTES = 64 * KIB
"""Read at a time: what a pipe holds."""

PAGE_ROWS = 1000
"""Rows of a page at most, as many as a listing has."""


def listed_rows(
    file: str, action: Action, source: str, destination: str = "", *, nul: bool = False
) -> AsyncGenerator[list[Row | TransferResult], None]:
    """Yield pages of the rows that a list names, for ``Engine.download_rows`` and the like.

    Args:
        file: its path; ``-`` is stdin.
        source: what its lines are relative to: a folder for an upload, else a bucket or a prefix, which may be empty
            for a deletion, and is taken literally.
        destination: a folder for a download, else a bucket or a prefix; empty for a deletion.
        nul: names are separated by NUL, and nothing in them means anything else than itself.

    Raises:
        InvalidUrl: source or destination names no bucket; at once, not when the first page is asked for.
        LocalError: the list cannot be read.
    """
    local = {Action.UPLOAD: (True, False), Action.DOWNLOAD: (False, True)}.get(action, (False, False))
    bases = [
        os.path.join(place, "") if is_folder else _base(place) if place else ""
        for place, is_folder in zip((source, destination), local, strict=True)
    ]
    names = ListedNames(action=action, source=bases[0], destination=bases[1], pairs=not nul)
    return _pages(file, names, nul=nul)


def _base(url: str) -> str:
    bucket, prefix = destination_prefix(url)
    return f"s3://{bucket}/{prefix}"


async def _pages(file: str, names: ListedNames, *, nul: bool) -> AsyncGenerator[list[Row | TransferResult], None]:
    rows = _Rows(file, names)
    lines = Lines(nul=nul)
    try:
        fd = 0 if file == STDIN else os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # FIFO: no writer yet
    except OSError as error:
        raise reading_error(error, file) from error
    reader = PipeReader(fd)
    try:
        while data := await reader.some(READ_BYTES):
            for page in rows.pages(lines.feed(data)):
                yield page
        for page in rows.pages(lines.end()):
            yield page
    finally:
        reader.stop()
        rows.close()
        if file != STDIN:
            os.close(fd)


class _Rows:
    """Makes the rows of lines, and finds two that go to one destination."""

    def __init__(self, file: str, names: ListedNames) -> None:
        self._file = "stdin" if file == STDIN else file
        self._names = names
        self._n = 0
        self._taken = SeenNames()

    def pages(self, lines: list[Line]) -> list[list[Row | TransferResult]]:
        """Return the rows of lines that were read together."""
        return [
            [self._row(line) for line in lines[start : start + PAGE_ROWS]] for start in range(0, len(lines), PAGE_ROWS)
        ]

    def close(self) -> None:
        """Forget the destinations."""
        self._taken.close()

    def _row(self, line: Line) -> Row | TransferResult:
        n, self._n = self._n, self._n + 1
        try:
            row = self._names.row(n, line)
            if row.destination and (earlier := self._taken.earlier(row.destination, str(line.number))):
                raise UsageError(f"line {earlier} has the same destination, {row.destination}")
        except UsageError as error:
            where = f"{self._file}:{line.number}"
            failure = ErrorInfo("UsageError", error.info.message, where, error.info.cause)
            return TransferResult(source=where, destination="", bucket="", key="", failure=failure, row=n)
        return row
