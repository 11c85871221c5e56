"""Makes rows of what differs between both sides of a sync, and then of what only its destination has.

A planner that goes on has both sides listed anew: what is planned is left out, what is equal by now needs no row. So
what a plan says of deletions always rests on two listings of one run.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs.comparing import Comparing, comparing
from bulkhaul.jobs.places import FileSide, source_among
from bulkhaul.jobs.row_sources import Begun, Told
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.sync_permissions import require_late_permissions
from bulkhaul.jobs.sync_plan import PlannedRow
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.comparison import Entry


class SyncRows:
    """The rows of one sync.

    Attributes:
        told: how much is alike, and why nothing may be deleted; whole when all rows have been had.
        listed_now: this run has listed for all of the rows; else some of them are of an earlier one.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        origin: AsyncEngine,
        source: str,
        destination: str,
        options: SyncOptions,
        counts: SyncCounts | None = None,
        *,
        preserve: Collection[Kept] = (),
        stored: ObjectOptions | None = None,
    ) -> None:
        """Take both places, and how they are compared.

        Args:
            preserve, stored: what copies keep, and how objects are stored: what that needs is tried first.
        """
        self.told = Told()
        self.listed_now = False
        self._engine = engine
        self._origin = origin
        self._places = source, destination
        self._options = options
        self._counts = counts
        self._preserve = preserve
        self._stored = stored

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield pages of rows, those of deletions last.

        Raises:
            UsageError: the places make no sense together.
            MissingPermission: the sync needs what the credentials do not allow.
            TransferError: a side cannot be listed.
        """
        counts, options = self._counts or SyncCounts(), self._options

        async def left(rows: list[Row]) -> list[Row]:
            if not begun.rows:
                return rows
            return await asyncio.to_thread(lambda: [row for row in rows if not begun.has(row)])

        async with comparing(self._engine, self._origin, *self._places, options, counts) as compared:
            kept, stored = self._preserve, self._stored
            await require_late_permissions(
                self._engine, self._origin, compared.sides, options, preserve=kept, stored=stored
            )
            async with aclosing(compared.pages()) as pages:
                async for page in pages:
                    yield await left([_row(one, compared.sides.action) for one in page])
            withheld = compared.withheld() if options.delete else ""
            if options.delete and not withheld and await source_among(compared.sides, compared.plan.doomed.pages()):
                withheld = "it was not deleted, because SRC seems to lie in DEST under another name"
            self.told = Told(unchanged=counts.unchanged, withheld=withheld)
            for entries in compared.plan.doomed.pages():
                yield await left([_deletion(compared, entry) for entry in entries])
        self.listed_now = not begun.rows


_LINK = '-link"'


def file_tag(inode: int, size_bytes: int, mtime_ns: int, *, link: bool = False) -> str:
    """Return what a file or a link that is to be deleted is known by: another one at its path has another tag.

    >>> file_tag(17, 4096, 1_000_000_000), file_tag(17, 3, 1_000_000_000, link=True)
    ('"11-1000-3b9aca00"', '"11-3-3b9aca00-link"')
    """
    return f'"{inode:x}-{size_bytes:x}-{mtime_ns:x}' + (_LINK if link else '"')


def tags_link(tag: str) -> bool:
    """Whether a tag is that of a link."""
    return tag.endswith(_LINK)


def _row(planned: PlannedRow, action: Action) -> Row:
    """Return the row of one that is to be done; or one that cannot be, so that its reason is kept."""
    if isinstance(planned, Row):
        return planned
    source = os.fsencode(planned.source).decode(errors="backslashreplace")  # no other text can be written as JSON
    if planned.failure is None:
        return Row(n=0, action=Action.SKIP, source=source, reason=planned.skipped)
    size_bytes = planned.size  # a row without one is taken for that of a manifest
    return Row(n=0, action=action, source=source, size=size_bytes, reason=planned.failure.message)


def _deletion(compared: Comparing, entry: Entry) -> Row:
    row = compared.plan.deletion(entry)
    if isinstance(compared.sides.destination, FileSide):
        tag = file_tag(entry.inode, entry.size_bytes, entry.mtime_ns or 0, link=entry.link)
        return msgspec.structs.replace(row, etag=tag)
    return row
