"""Makes rows of the lines that move or delete one object, so that thousands of them go together as listed ones do.

The engine is asked once for each kind of row, and takes its pages while lines are still being read.
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec

from bulkhaul.cli.command_file.listings import Listings
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.transfers.endpoints import key_for
from bulkhaul.model.errors import ErrorInfo, PreconditionFailed, TransferError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.command_lines import PlainLine
from bulkhaul.policy.naming import base_name
from bulkhaul.policy.reach import ends_lines
from bulkhaul.policy.selection import named_object

_S3 = "s3://"

PAGES_WAITING = 2
"""Pages that wait for the engine: it takes the next one when the objects of the last one are under way."""

FOLDERS = 4096
"""Folders of destinations that are remembered."""


class Kind(NamedTuple):
    """What the engine is asked for at once.

    Attributes:
        root: of downloads, the folder that their paths lie below.
    """

    action: Action
    move: bool = False
    root: str = ""

    @property
    def operation(self) -> str:
        """The command of such lines."""
        return "rm" if self.action is Action.DELETE else "mv" if self.move else "cp"


def row_of(line: PlainLine, number: int) -> tuple[Kind, Row] | None:
    """Return the row of a line and its kind; None where only the line's own command can tell what it means.

    Raises:
        LocalError: the file's name cannot be a key.
    """
    source, destination, move = line.source, line.destination, line.command == "mv"
    if line.command == "rm":
        return Kind(Action.DELETE), Row(n=number, action=Action.DELETE, source=source)
    if not source.startswith(_S3):
        if source.endswith("/") or os.path.isdir(source) or not os.path.lexists(source):
            return None
        kind = Kind(Action.UPLOAD, move)
    elif destination.startswith(_S3):
        kind = Kind(Action.COPY, move)
    else:
        return _download(source, destination, number, move=move)
    bucket, _, key = destination[len(_S3) :].partition("/")
    if not bucket:
        return None
    destination = f"{_S3}{bucket}/{key_for(key, source)}"
    return kind, Row(n=number, action=kind.action, source=source, destination=destination)


def _download(source: str, destination: str, number: int, *, move: bool) -> tuple[Kind, Row] | None:
    if destination.endswith("/") or os.path.isdir(destination):
        name = base_name(source[len(_S3) :].partition("/")[2])
        if not name.components:
            return None
        destination = os.path.join(destination, name.components[0])
    if os.path.basename(destination) in ("", ".") or ".." in destination.split("/") or destination.startswith("//"):
        return None
    destination = os.path.normpath(destination)  # without ".." it is the same file
    if not (root := _root_above(os.path.dirname(destination))):
        return None
    row = Row(n=number, action=Action.DOWNLOAD, source=source, destination=destination)
    return Kind(Action.DOWNLOAD, move, root), row


@functools.lru_cache(FOLDERS)
def _root_above(folder: str) -> str:
    """Return the root that a folder for downloads lies below, with no link between them; empty if there is none.

    Below its root the engine follows no link, as the keys of a listing may lead anywhere; here a person named the path.
    """
    root = "/" if os.path.isabs(folder) else os.curdir
    within = os.path.realpath(folder or os.curdir) == os.path.join(os.path.realpath(root), folder).rstrip("/")
    return root if within or not folder else ""


class RowStream:
    """The rows of one kind, from the reader of lines to the engine.

    Attributes:
        waiting: rows that no result has come for, by their numbers.
    """

    def __init__(self, kind: Kind, *, dry_run: bool) -> None:
        self.waiting: dict[int, Row] = {}
        self._kind = kind
        self._dry_run = dry_run
        self._pages = asyncio.Queue[list[Row] | None](PAGES_WAITING)
        self._whole = False  # the last page was taken

    async def put(self, page: list[Row]) -> None:
        """Hand over rows, when there is room for them."""
        self.waiting.update((row.n, row) for row in page)
        await self._pages.put(page)

    async def end(self) -> None:
        """Say that there are no more rows."""
        await self._pages.put(None)

    async def results(self, engine: Engine) -> AsyncGenerator[TransferResult, None]:
        """Carry out the rows; yield a result for each, also where the engine cannot go on.

        Raises:
            TransferError: no other line can be carried out either.
        """
        try:
            async for result in self._asked(engine):
                row = self.waiting.pop(result.row)
                if row.etag and result.failure is not None and result.failure.code == PreconditionFailed.__name__:
                    yield await self._anew(engine, row)
                else:
                    yield result
        except TransferError as error:
            if engine.ended or ends_lines(error.info, own_source=False):
                raise
            failure = error.info
        else:
            return
        while True:
            for row in [*self.waiting.values()]:
                del self.waiting[row.n]
                yield _failed(row, failure)
                failure = msgspec.structs.replace(failure, again=True)
            if self._whole or await self._pages.get() is None:
                return

    async def _rows(self, engine: Engine) -> AsyncGenerator[list[Row], None]:
        listings = Listings()
        while (page := await self._pages.get()) is not None:
            if self._kind.action is Action.DOWNLOAD and not self._dry_run:
                page = await listings.told(engine.aio.control, page)
                self.waiting.update((row.n, row) for row in page)
            yield page
        self._whole = True

    async def _anew(self, engine: Engine, row: Row) -> TransferResult:
        """Download an object that was replaced after it was listed: a line means whatever is there."""
        try:
            result = await engine.aio.download(row.source, row.destination, move=self._kind.move)
            return msgspec.structs.replace(result, row=row.n)
        except TransferError as error:
            return _failed(row, error.info)

    def _asked(self, engine: Engine) -> AsyncGenerator[TransferResult, None]:
        kind, rows, dry_run = self._kind, self._rows(engine), self._dry_run
        if kind.action is Action.DOWNLOAD:
            return engine.aio.download_rows(rows, kind.root, move=kind.move, many_disks=True, dry_run=dry_run)
        if kind.action is Action.UPLOAD:
            return engine.aio.upload_rows(rows, move=kind.move, many_disks=True, dry_run=dry_run)
        if kind.action is Action.COPY:
            return engine.aio.copy_rows(rows, move=kind.move, dry_run=dry_run)
        return engine.aio.delete_rows(rows, dry_run=dry_run)


def _failed(row: Row, failure: ErrorInfo) -> TransferResult:
    bucket, key = named_object(row.source if row.source.startswith(_S3) else row.destination)
    return TransferResult(
        source=row.source, destination=row.destination, bucket=bucket, key=key, failure=failure, row=row.n
    )
