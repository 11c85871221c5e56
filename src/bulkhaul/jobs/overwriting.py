"""Leaves out the rows whose destination is to stay as it is: looks what is there, page by page.

files   ─▶ stat
objects ─▶ many of a page: a listing that begins at the first of them, which tells of a thousand at once
        ╰▶ few, and those that a listing does not tell of: HEAD, side by side

Only HEAD tells that an object is missing: a service that lists in another order passes some over without a sign.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncGenerator, Sequence

import msgspec

from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_keys import listed_keys
from bulkhaul.engine.transfers.rows import PlannedRow, RowPages, failed_row, pages_of, result_of_row
from bulkhaul.jobs.evidence import READ_AT_ONCE, file_digest
from bulkhaul.model.errors import NotFound, TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.comparison import plain_md5
from bulkhaul.policy.overwriting import Known, Overwrite, left_because, of_object
from bulkhaul.policy.selection import named_object

HEADS_AT_ONCE = 128
"""Objects that are asked for side by side; as many as before the download of rows that tell nothing."""

Found = Known | TransferError | None
"""What is at one place: what is known of it, why nobody knows, or nothing."""

_MOVES = (Action.DOWNLOAD, Action.UPLOAD, Action.COPY)


async def replacing(
    pages: RowPages, rule: Overwrite, *, control: Control, origin: Control
) -> AsyncGenerator[Sequence[PlannedRow], None]:
    """Yield the pages; in the place of a row whose destination is to stay is its result, which says why.

    Args:
        control: asks the service of the destination.
        origin: asks that of the source.

    Raises:
        Whatever the pages raise.
    """
    looking = Looking(rule, control, origin)
    async with contextlib.aclosing(pages_of(pages)) as planned:
        async for page in planned:
            yield await looking.page(page)


class Looking:
    """Looks at the destinations of one run, and at sources of which a row tells too little."""

    def __init__(self, rule: Overwrite, control: Control, origin: Control) -> None:
        """Take the rule, and what asks the service of the destination, and that of the source."""
        self._rule = rule
        self._control = control
        self._origin = origin
        self._heads = asyncio.Semaphore(HEADS_AT_ONCE)
        self._reads = asyncio.Semaphore(READ_AT_ONCE)

    async def page(self, page: Sequence[PlannedRow]) -> list[PlannedRow]:
        """Return the rows of a page, in the place of those whose destination is to stay their results."""
        if self._rule.always:
            return list(page)
        told = list(page)
        places = [n for n, row in enumerate(page) if isinstance(row, Row) and row.action in _MOVES]
        rows = [row for row in (page[n] for n in places) if isinstance(row, Row)]
        for n, row, pair in zip(places, rows, await self.both(rows), strict=True):
            told[n] = self._judged(row, *pair)
        return told

    async def both(self, rows: Sequence[Row]) -> list[tuple[Found, Found]]:
        """Return what is at the destination of each row, and if there is something, what is known of its source."""
        there = await self._at(self._control, [row.destination for row in rows])
        exists = [row for row in rows if there[row.destination] is not None]
        sources = await self._sources(exists) if self._rule.needs_source else {}
        pairs = [(there[row.destination], sources.get(row.n, Known(0))) for row in rows]
        if self._rule.if_etag_differs:
            pairs = await asyncio.gather(*(self._digested(row, *pair) for row, pair in zip(rows, pairs, strict=True)))
        return pairs

    async def _digested(self, row: Row, there: Found, source: Found) -> tuple[Found, Found]:
        """Return what is known of both sides, of a file with its MD5, where that can tell whether it is the object's.

        A file that cannot be read is not known to be the same: the transfer tells.
        """
        if row.action is Action.COPY or not isinstance(there, Known) or not isinstance(source, Known):
            return there, source
        path, file, other = (
            (row.source, source, there) if row.action is Action.UPLOAD else (row.destination, there, source)
        )
        if file.size_bytes != other.size_bytes or not plain_md5(other.etag):
            return there, source
        with contextlib.suppress(TransferError):
            async with self._reads:
                file = msgspec.structs.replace(file, etag=(await in_thread(file_digest, "MD5", path)).hex())
        return (there, file) if row.action is Action.UPLOAD else (file, source)

    def _judged(self, row: Row, there: Found, source: Found) -> PlannedRow:
        if isinstance(there, TransferError):
            return failed_row(row, there)
        if there is None or source is None or isinstance(source, TransferError):
            return row  # the transfer itself tells what is wrong with the source
        if why := left_because(self._rule, source, there):
            return _left(row, why)
        return row

    async def _sources(self, rows: Sequence[Row]) -> dict[int, Found]:
        """Return what is known of the sources, by the numbers of their rows; a row itself may tell it."""
        found: dict[int, Found] = {}
        unknown: list[Row] = []
        for row in rows:
            tells = row.size is not None and row.last_modified and (row.etag or not self._rule.if_etag_differs)
            if row.action is not Action.UPLOAD and tells:
                found[row.n] = of_object(row.size or 0, row.last_modified, row.etag)
            else:
                unknown.append(row)
        heads = [row for row in unknown if row.action is not Action.UPLOAD]
        files = [row for row in unknown if row.action is Action.UPLOAD]
        for row, known in zip(files, await in_thread(_files, [row.source for row in files]), strict=True):
            found[row.n] = known
        asked = (self._head(self._origin, row.source, row.version_id) for row in heads)
        for row, told in zip(heads, await asyncio.gather(*asked), strict=True):
            found[row.n] = told
        return found

    async def _at(self, control: Control, places: Sequence[str]) -> dict[str, Found]:
        """Return what is at each place."""
        paths = [place for place in places if not place.startswith("s3://")]
        found: dict[str, Found] = dict(zip(paths, await in_thread(_files, paths), strict=True))
        buckets: dict[str, set[str]] = {}
        for place in places:
            if place.startswith("s3://"):
                bucket, key = named_object(place)
                buckets.setdefault(bucket, set()).add(key)
        for bucket, keys in buckets.items():
            listed: dict[str, Found] = {}
            with contextlib.suppress(TransferError):  # HEAD will tell
                async with contextlib.aclosing(listed_keys(control, bucket, keys)) as pages:
                    async for page in pages:
                        listed |= {
                            key: of_object(head.size, head.last_modified, head.etag) for key, head in page.items()
                        }
            found |= {ObjectRef(bucket, key).url: known for key, known in listed.items()}
            rest = [ObjectRef(bucket, key).url for key in keys - listed.keys()]
            asked = (self._head(control, url) for url in rest)
            found |= dict(zip(rest, await asyncio.gather(*asked), strict=True))
        return found

    async def _head(self, control: Control, url: str, version_id: str = "") -> Found:
        async with self._heads:
            try:
                head = await control.head(ObjectRef(*named_object(url)), version_id)
            except NotFound:
                return None
            except TransferError as error:
                return error
        return of_object(head.size, head.last_modified, head.etag)


def _files(paths: Sequence[str]) -> list[Found]:
    return [_file(path) for path in paths]


def _file(path: str) -> Known | None:
    """Return what is at a path, through links; a link that leads nowhere is nothing, as s5cmd has it."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None  # the transfer itself tells, where it is no file that is missing
    return Known(found.st_size if stat.S_ISREG(found.st_mode) else -1, found.st_mtime_ns)


def _left(row: Row, why: str) -> TransferResult:
    """Return the result of a row that is left out."""
    place = row.source if row.action is Action.DOWNLOAD else row.destination
    return result_of_row(msgspec.structs.replace(row, etag=""), ObjectRef(*named_object(place)), skipped=why)
