"""Makes the rows of every version and delete marker below a source, of each key the oldest first.

A plan that was interrupted is gone on with by listing all of it again, and leaving out what is planned.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.transfers.versions_planned import planned_versions
from bulkhaul.jobs.folder.description import JobDescription
from bulkhaul.jobs.row_sources import Begun, Told
from bulkhaul.model.rows import Row


class VersionRows:
    """The rows of a listing of versions."""

    told = Told()

    def __init__(self, engine: AsyncEngine, origin: AsyncEngine, description: JobDescription) -> None:
        self._engine = engine
        self._origin = origin
        self._description = description

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of each page that are not planned yet.

        Raises:
            NotFound: nothing is selected.
            UsageError: the destination keeps no versions, or is the source.
            TransferError: the listing failed.
        """
        made = self._description
        pages = planned_versions(
            self._origin.version_side(),
            made.source,
            self._engine.version_side(),
            made.destination,
            made.include,
            made.exclude,
            recursive=True,
        )

        def left(page: Sequence[Row]) -> list[Row]:
            return [row for row in page if not begun.has(row)]

        async with aclosing(pages):
            async for page in pages:
                yield await asyncio.to_thread(left, page) if begun.rows else page


__all__ = ["VersionRows"]
