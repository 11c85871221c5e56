"""Lists the two sides of a sync as pages of entries by name: objects below a prefix, files below a folder.

What cannot be looked at comes as ``Unknown`` in its place, so that nobody takes it for missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from typing import TypeVar

from bulkhaul.disk.left_temp import is_ours
from bulkhaul.disk.links import target_of
from bulkhaul.disk.source import reading_error
from bulkhaul.disk.walk import NOT_FOLLOWED, LocalFile, LocalFolder, Refused, walk, walk_with_folders
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_ranges import MOST_PAGES
from bulkhaul.model.errors import LocalError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.comparison import Entry, Unknown
from bulkhaul.policy.links import NAMED_AS_LINK, SUFFIX, names_link

PAGE_FILES = 1000
"""Files that a thread looks at before it hands them over: as many as a page of a listing has."""

LISTED_AHEAD = MOST_PAGES // 2
"""Pages of a listing that may be under way or wait: two of them are joined, and one that is faster than the other would
else fill what a listing that is read by itself may fill.
"""

PAGES_AHEAD = 4
"""Pages of each side that may wait for the join."""

Walked = LocalFile | LocalFolder | Refused
Item = Entry | Unknown
T = TypeVar("T")


async def object_pages(
    control: Control, bucket: str, prefix: str, base: str, takes: Callable[[str], bool]
) -> AsyncGenerator[list[Entry], None]:
    """Yield the objects of a listing that are selected, in the service's order.

    Args:
        prefix: what is listed.
        base: what is cut off each key to get its name.
        takes: whether a name is selected.

    Raises:
        TransferError: the listing failed.
    """
    async with contextlib.aclosing(control.pages(bucket, prefix, most_pages=LISTED_AHEAD)) as pages:
        async for heads in pages:
            yield object_entries(heads, base, takes)


def object_entries(heads: Sequence[ObjectHead], base: str, takes: Callable[[str], bool]) -> list[Entry]:
    """Return the entries of the objects that are selected; a marker of the root itself is none."""
    cut = len(base)
    return [
        Entry(name, head.size, None, head.last_modified, head.etag, head.storage_class)
        for head in heads
        if takes(name := head.key[cut:]) and (name or head.size)
    ]


async def file_pages(
    root: str,
    takes: Callable[[str], bool],
    excludes: Callable[[str], bool],
    *,
    follow_symlinks: bool,
    folders: bool,
    destination: bool = False,
    nameless: Callable[[Refused], None] | None = None,
    takes_link: Callable[[str], bool] | None = None,
) -> AsyncGenerator[list[Item], None]:
    """Yield the files below a folder that are selected, in the order of keys; a thread looks at them.

    Args:
        takes: whether a name is selected.
        excludes: whether everything below a name is left out, so that it does not matter what is there.
        folders: tell folders as well.
        destination: it may be missing, and temp files of downloads are no part of it.
        nameless: is told, in a thread, of what has a name that can be no key, or is that of another's stored link; the
            latter with that name, and without a reason where it is no failure.
        takes_link: where links are stored: whether the name of a stored link is selected. Links are told by these
            names, which no file can have then; none is followed.

    Raises:
        LocalError: the root cannot be listed.
    """
    if destination and not await in_thread(os.path.lexists, root.rstrip("/") or root):
        return
    stores_links = takes_link is not None
    suffix = SUFFIX if stores_links else ""
    follow_symlinks = follow_symlinks and not stores_links
    walking = undisturbed(in_thread(_walked, root, follow_symlinks=follow_symlinks, folders=folders, suffix=suffix))
    takes = _no_temp_file(takes) if destination else takes
    found = await walking
    if stores_links:
        found = _without_names_of_links(found, takes, nameless)
    entries = _file_entries(found, os.path.join(root, ""), takes, excludes, nameless, takes_link)
    while page := await undisturbed(in_thread(lambda: list(itertools.islice(entries, PAGE_FILES)))):
        yield page


def _walked(root: str, *, follow_symlinks: bool, folders: bool, suffix: str) -> Iterator[Walked]:
    if folders:
        return walk_with_folders(root, follow_symlinks=follow_symlinks, link_suffix=suffix)
    return walk(root, follow_symlinks=follow_symlinks, link_suffix=suffix)


def _without_names_of_links(
    found: Iterator[Walked], takes: Callable[[str], bool], nameless: Callable[[Refused], None] | None
) -> Iterator[Walked]:
    """Leave out files that are named as stored links are, and so cannot be told from them once they are objects.

    Filters take the names of objects otherwise than theirs, so each is told: an object of its name may be its own.
    """
    for one in found:
        is_link = isinstance(one, Refused) and one.reason is NOT_FOLLOWED
        if not is_link and names_link(one.relative):
            if nameless is not None:
                reason = NAMED_AS_LINK if isinstance(one, LocalFile) and takes(one.relative) else ""
                nameless(Refused(one.path, reason, relative=one.relative))
            if isinstance(one, LocalFile):
                continue
        yield one


def _file_entries(
    found: Iterator[Walked],
    root: str,
    takes: Callable[[str], bool],
    excludes: Callable[[str], bool],
    nameless: Callable[[Refused], None] | None,
    takes_link: Callable[[str], bool] | None,
) -> Iterator[Item]:
    for one in found:
        if takes_link is not None and isinstance(one, Refused) and one.reason is NOT_FOLLOWED:
            if takes_link(one.relative + SUFFIX):
                yield link_entry(one)
        elif isinstance(one, Refused):
            if not one.relative:
                relative = one.path.removeprefix(root)
                # Nobody has looked into a folder of such a name: what filters take may be in there.
                if nameless is not None and (takes(relative) or (one.unread and not excludes(f"{relative}/"))):
                    nameless(one)
            elif not excludes(one.relative):
                yield file_entry(one, told=takes(one.relative) or one.unread)
        elif takes(one.relative):
            yield file_entry(one)


def file_entry(one: Walked, *, told: bool = True) -> Item:
    """Return the entry of something that a walk has found.

    Args:
        told: of what is refused: people are told why. A name that no pattern takes may still be a folder that holds
            what one takes: it hides that, but is not told.
    """
    if isinstance(one, LocalFile):
        linked = bool(one.hops) or one.behind
        return Entry(one.relative, one.size_bytes, one.mtime_ns, None, "", "", one.device, one.inode, linked)
    if isinstance(one, LocalFolder):
        return Entry(one.relative, vacant=one.vacant)
    return Unknown(one.relative, one.reason if told else "", one.unwanted, one.unread)


def link_entry(one: Refused) -> Item:
    """Return the entry of a link as its stored link."""
    name = one.relative + SUFFIX
    try:
        found = os.lstat(one.path)
        size_bytes = len(target_of(one.path))
    except OSError as error:
        return Unknown(name, reading_error(error, one.path).message, unread=True)
    except LocalError as error:
        return Unknown(name, error.message, unread=True)
    identity = found.st_dev, found.st_ino
    return Entry(name, size_bytes, found.st_mtime_ns, None, "", "", *identity, linked=True, link=True)


def _no_temp_file(takes: Callable[[str], bool]) -> Callable[[str], bool]:
    def takes_finished(name: str) -> bool:
        return not is_ours(name.rpartition("/")[2]) and takes(name)

    return takes_finished


@contextlib.asynccontextmanager
async def read_ahead(pages: AsyncGenerator[T, None]) -> AsyncIterator[AsyncIterator[T]]:
    """Have the pages of a side read while the other side is read, too; yield what gives them, in order."""
    waiting: asyncio.Queue[T | Exception | None] = asyncio.Queue(PAGES_AHEAD)

    async def read() -> None:
        try:
            async with contextlib.aclosing(pages):
                async for page in pages:
                    await waiting.put(page)
        except Exception as error:  # noqa: BLE001 - raised for the reader
            await waiting.put(error)
        else:
            await waiting.put(None)

    async def given() -> AsyncIterator[T]:
        while (page := await waiting.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page

    reading = asyncio.create_task(read())
    try:
        yield given()
    finally:
        reading.cancel()
        await asyncio.wait([reading])
