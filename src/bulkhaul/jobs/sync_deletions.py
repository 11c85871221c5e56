"""Deletes what only the destination of a sync has, row by row, as its job planned it.

withheld              ─▶ every row fails, and says why
listed by earlier run ─▶ at the source by now? ─▶ it stays
                      ╰─▶ the object with its ETag, or the very file, is deleted
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from bulkhaul.disk.links import is_link
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.removal import Removal
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.comparing import root_of
from bulkhaul.jobs.places import ObjectSide, Sides
from bulkhaul.jobs.runner import Pages
from bulkhaul.jobs.sync_plan import PlannedRow, result_of
from bulkhaul.jobs.sync_rows import file_tag, tags_link
from bulkhaul.model.errors import ErrorInfo, LocalError, NotFound, TransferError
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.links import SUFFIX, link_path, names_link

LOOKS: Final = 32
"""Names that are looked for at the source side by side."""

_CAME: Final = "the source has it by now, so it stays"


class SyncDeletions:
    """The deletions of one run."""

    def __init__(self, engine: AsyncEngine, sides: Sides, *, withheld: str, look: bool, dir_markers: bool) -> None:
        """Take where they are made.

        Args:
            withheld: why none may be made; empty if all may.
            look: an earlier run listed the source, so it is looked at once more.
            dir_markers: a folder that becomes empty stays if the source marks it.
        """
        self._engine = engine
        self._sides = sides
        self._stores_links = engine.settings.store_links and sides.action is not Action.COPY
        self._withheld = withheld
        self._look = look
        self._dir_markers = dir_markers
        self._slots = asyncio.Semaphore(LOOKS)

    async def carry(self, _action: Action, pages: Pages) -> AsyncGenerator[TransferResult, None]:
        """Yield one result a row.

        Raises:
            TransferError: the destination cannot be reached.
        """
        if self._withheld:
            async for page in pages:
                for row in page:
                    yield self._failed(row, self._withheld) if isinstance(row, Row) else row
            return
        looked = self._looked(pages)
        if isinstance(self._sides.destination, ObjectSide):
            results = self._engine.delete_rows(looked)
        else:
            results = self._removed(looked, root_of(self._sides.destination))
        async with aclosing(results):
            async for result in results:
                yield result

    async def _looked(self, pages: Pages) -> AsyncGenerator[Sequence[PlannedRow], None]:
        async for page in pages:
            yield await asyncio.gather(*map(self._allowed, page)) if self._look else page

    async def _allowed(self, row: PlannedRow) -> PlannedRow:
        """Return the row, or its result if the source has it by now, or cannot tell."""
        if not isinstance(row, Row):
            return row
        name = row.source.removeprefix(self._sides.destination.place(""))
        if tags_link(row.etag):
            name += SUFFIX
        try:
            async with self._slots:
                there = await self._at_source(name)
        except TransferError as error:
            return msgspec.structs.replace(result_of(row), failure=error.info)
        return msgspec.structs.replace(result_of(row), skipped=_CAME) if there else row

    async def _at_source(self, name: str) -> bool:
        side = self._sides.source
        if not isinstance(side, ObjectSide):
            if self._stores_links and names_link(name) and await in_thread(is_link, side.place(link_path(name))):
                return True
            if self._stores_links and await in_thread(is_link, side.place(name)):
                return False  # its object has the name of a stored link
            return await in_thread(_exists, side.place(name))
        try:
            await side.control.head(ObjectRef(side.bucket, side.base + name))
        except NotFound:
            return False
        return True

    async def _removed(
        self, pages: AsyncGenerator[Sequence[PlannedRow], None], root: str
    ) -> AsyncGenerator[TransferResult, None]:
        loop = asyncio.get_running_loop()

        def stays(folder: str) -> bool:
            return self._dir_markers and asyncio.run_coroutine_threadsafe(self._marked(folder), loop).result()

        removal = await undisturbed(in_thread(Removal, root, stays))
        try:
            async with aclosing(pages):
                async for page in pages:
                    for result in await undisturbed(in_thread(_remove, removal, root, page)):
                        yield result
        finally:
            await undisturbed(in_thread(removal.close))

    async def _marked(self, folder: str) -> bool:
        """Whether the source marks a folder, or cannot tell."""
        try:
            return await self._at_source(folder)
        except TransferError:
            return True

    def _failed(self, row: Row, why: str) -> TransferResult:
        return msgspec.structs.replace(result_of(row), failure=ErrorInfo("OtherError", why, row.source))


async def source_is_empty(sides: Sides) -> bool:
    """Whether the source has nothing at all by now: a bucket that was emptied, or a disk that is not mounted.

    Raises:
        TransferError: it cannot be listed.
    """
    if not isinstance(sides.source, ObjectSide):
        return await in_thread(_is_empty, root_of(sides.source))
    async with aclosing(sides.source.control.pages(sides.source.bucket, sides.listed)) as pages:
        async for page in pages:
            if page:
                return False
    return True


def _is_empty(root: str) -> bool:
    try:
        with os.scandir(root) as found:
            return next(found, None) is None
    except OSError as error:
        raise local_error(error, root) from error


def _exists(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise local_error(error, path) from error
    return True


def _remove(removal: Removal, root: str, page: Sequence[PlannedRow]) -> list[TransferResult]:
    """Remove the files of a page, each if it still is the one that its tag tells."""
    results = []
    for row in page:
        if isinstance(row, TransferResult):
            results.append(row)
            continue
        result = result_of(row)
        try:
            if (listed := _identity(row)) is not None:
                removal.remove(row.source.removeprefix(root), listed, link=tags_link(row.etag))
        except LocalError as error:
            result = msgspec.structs.replace(result, failure=error.info)
        results.append(result)
    return results


def _identity(row: Row) -> SourceIdentity | None:
    """Return what the file, or the link, of a row must be when it is removed; None if there is none any more.

    The number of its device may be another one after a restart of the machine, so that is the one of now.

    Raises:
        LocalError: it is another one than the row tells.
    """
    link = tags_link(row.etag)
    try:
        found = os.lstat(row.source)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise local_error(error, row.source) from error
    if link and not stat.S_ISLNK(found.st_mode):
        return None  # what is at the source has its place
    if file_tag(found.st_ino, found.st_size, found.st_mtime_ns, link=link) != row.etag:
        what = "link" if link else "file"
        raise LocalError(f"it is no longer the {what} that was listed, so it stays", row.source)
    return SourceIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
