"""Makes what marks an empty folder: a folder on disk of an object that marks one, and such an object of a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from bulkhaul.disk.folder import DestinationTree
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.places import ObjectSide, Side
from bulkhaul.jobs.sync_plan import PlannedRow, result_of
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import Content, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions

_FOLDER_TYPE = ObjectOptions(content=Content(content_type="application/x-directory"))


class Markers:
    """Carries out the rows that mark folders, in place of the engine."""

    def __init__(
        self, engine: AsyncEngine, destination: Side, stored: ObjectOptions | None, tree: DestinationTree | None
    ) -> None:
        """Take where they go.

        Args:
            stored: how objects are stored.
            tree: the destination of a download.
        """
        self._engine = engine
        self._destination = destination
        self._stored = stored
        self._tree = tree

    async def made(self, page: Sequence[PlannedRow]) -> Sequence[PlannedRow]:
        """Make the folders, and the objects that mark folders, of a page; return it with their results in place."""
        marks = [_marks(row) for row in page]
        if not any(marks):
            return page
        work = (self._mark(row) for row, mark in zip(page, marks, strict=True) if mark and isinstance(row, Row))
        made = iter(await asyncio.gather(*work))
        return [next(made) if mark else row for row, mark in zip(page, marks, strict=True)]

    async def _mark(self, row: Row) -> TransferResult:
        result = result_of(row)
        try:
            if isinstance(self._destination, ObjectSide):
                bucket = self._destination.bucket
                ref = ObjectRef(bucket, row.destination.removeprefix(f"s3://{bucket}/"))
                made = await self._engine.upload_bytes(b"", ref, self._stored or _FOLDER_TYPE)
                return msgspec.structs.replace(made, source=row.source, row=row.n)
            assert self._tree is not None
            relative = row.destination.removeprefix(self._destination.base)
            self._tree.keep(tuple(relative.removesuffix("/").split("/")))
        except TransferError as error:
            return msgspec.structs.replace(result, failure=error.named(row.source).info)
        return result


def _marks(row: PlannedRow) -> bool:
    return isinstance(row, Row) and row.action is not Action.COPY and row.destination.endswith("/")
