"""Makes rows of what a plan is made from: the listing of a prefix, the files below a folder, rows that are given.

A source can go on after the rows that an earlier planner has written:

    keys ascend           list from a little before the last key; what follows it, once it was met, is new
    they do not           list all, drop what is planned; also where the last key is not met
    rows that are given   leave out as many as are planned
"""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Protocol

import msgspec

from bulkhaul.disk.walk import NOT_FOLLOWED, LocalFile, Refused, walk
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.download_many import Naming
from bulkhaul.model.errors import TransferError, UsageError
from bulkhaul.model.limits import MAX_KEY_BYTES
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.links import NAMED_AS_LINK, SUFFIX, names_link
from bulkhaul.policy.selection import Source, all_left_out, nothing_matches

PAGE_ROWS = 1000
"""Rows of one page of files."""

MOST_PASSED = 20_000
"""Keys that are listed until the last one is met, at most: twice those of a shard, as new ones may be among them."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What is planned already.

    Attributes:
        rows: how many.
        last: the last one, None if there is none.
        anchor: the source of a row some thousands before the last one, or just before it; empty if there is none.
        ascending: the sources of all of them ascend.
        has: whether a row of this source, of all versions of this one, is planned, of deletions apart; looking costs a
            lookup on disk.
    """

    rows: int
    last: Row | None
    anchor: str
    ascending: bool
    has: Callable[[Row], bool]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a source tells of its rows when all have been had; see ``PlanTotals``."""

    unchanged: int = 0
    withheld: str = ""


class RowSource(Protocol):
    """What a plan is made from."""

    @property
    def told(self) -> Told:
        """What is to be kept beside the rows."""
        ...

    def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield pages of the rows that follow those that are planned; their numbers mean nothing yet."""
        ...


class ObjectRows:
    """The rows of a listing."""

    told = Told()

    def __init__(
        self, control: Control, source: Source, takes: Callable[[str], bool], row_of: Callable[[ObjectHead], Row]
    ) -> None:
        self._control = control
        self._source = source
        self._takes = takes
        self._row_of = row_of

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of each page.

        Raises:
            NotFound: it selects nothing.
            TransferError: the listing failed.
        """
        last = begun.last.source if begun.last is not None else ""
        found = begun.rows > 0

        def left(rows: list[Row], joined: bool) -> list[Row]:
            return [row for row in rows if (joined and row.source > last) or not begun.has(row)]

        async with aclosing(self._pages(begun, last)) as listing:
            async for page, joined in listing:
                rows = [self._row_of(head) for head in page if self._takes(head.key)]
                found = found or bool(rows)
                yield await asyncio.to_thread(left, rows, joined) if last else rows
        if not found and not all_left_out(self._takes):
            raise nothing_matches(self._source)

    async def _pages(self, begun: Begun, last: str) -> AsyncGenerator[tuple[Sequence[ObjectHead], bool], None]:
        """Yield pages, and whether they follow the last key; else anything may be in them."""
        joined = False
        if last and begun.ascending and begun.anchor:
            async with aclosing(self._after(begun.anchor, last)) as pages:
                async for page in pages:
                    joined = True
                    yield page, True
        if not joined:
            async with aclosing(self._control.pages(self._source.bucket, self._source.prefix)) as pages:
                async for page in pages:
                    yield page, False

    async def _after(self, anchor: str, last: str) -> AsyncGenerator[Sequence[ObjectHead], None]:
        """Yield what follows the last key, from where it is met; nothing where it is not.

        A service may list in another order than it compares, or know no StartAfter, as directory buckets (S3 API,
        ListObjectsV2). That the listing comes by a key that the earlier one came by shows that both are one.
        """
        base, met, passed = ObjectRef(self._source.bucket, "").url, False, 0
        start_after, last_key = anchor.removeprefix(base), last.removeprefix(base)
        try:
            async with aclosing(
                self._control.pages_after(self._source.bucket, self._source.prefix, start_after)
            ) as pages:
                async for page in pages:
                    if met:
                        yield page
                        continue
                    place = next((place for place, head in enumerate(page) if head.key == last_key), None)
                    passed += len(page)
                    if place is not None:
                        met = True
                        yield page[place + 1 :]
                    elif passed > MOST_PASSED:
                        return
        except TransferError as error:
            if met or error.info.status < 400:
                raise


def download_row(source: Source, root: str) -> Callable[[ObjectHead], Row]:
    """Return what makes the row of a key that goes below a folder; one that cannot be a file has no destination."""
    naming, below = Naming(source.base, folds_case=False), os.path.join(root, "")

    def row_of(head: ObjectHead) -> Row:
        planned = naming.plan(head)
        row = _listed(source.bucket, head, Action.DOWNLOAD)
        if planned.skipped:
            return msgspec.structs.replace(row, action=Action.SKIP, reason=planned.skipped)
        if planned.refused:
            return msgspec.structs.replace(row, reason=f"the key cannot be a file: {planned.refused}")
        return msgspec.structs.replace(row, destination=below + "/".join(planned.components))

    return row_of


def copy_row(source: Source, bucket: str, prefix: str, *, within: bool) -> Callable[[ObjectHead], Row]:
    """Return what makes the row of a key that goes below another prefix.

    Args:
        within: both are of one service, so that the destination may lie in the source.
    """
    nested = within and bucket == source.bucket and prefix != source.base and prefix.startswith(source.base)

    def row_of(head: ObjectHead) -> Row:
        row = _listed(source.bucket, head, Action.COPY)
        key = prefix + head.key.removeprefix(source.base)
        if nested and head.key.startswith(prefix):
            return msgspec.structs.replace(row, action=Action.SKIP, reason="it lies in the destination")
        if not key or len(key.encode()) > MAX_KEY_BYTES:
            text = f"its key would have {len(key.encode())} bytes, and a key has 1 to {MAX_KEY_BYTES}"
            return msgspec.structs.replace(row, reason=text)
        return msgspec.structs.replace(row, destination=ObjectRef(bucket, key).url)

    return row_of


def delete_row(source: Source) -> Callable[[ObjectHead], Row]:
    """Return what makes the row of a key that is to be deleted, as long as it is the object that was listed."""
    return lambda head: _listed(source.bucket, head, Action.DELETE)


def restore_row(source: Source) -> Callable[[ObjectHead], Row]:
    """Return what makes the row of a key whose object is brought back, and not moved."""
    return lambda head: _listed(source.bucket, head, Action.RESTORE)


class FileRows:
    """The rows of all files below a folder, in the order of their keys."""

    told = Told()

    def __init__(
        self,
        folder: str,
        bucket: str,
        prefix: str,
        takes: Callable[[str], bool],
        *,
        follow_symlinks: bool | None = None,
        entries: Callable[[], Iterator[LocalFile | Refused]] | None = None,
        stores_links: bool = False,
    ) -> None:
        """Take the folder, and the bucket and the prefix that its files go to.

        Args:
            stores_links: links are stored themselves, and not followed.
            entries: lists some of the files, in place of a walk.
        """
        follow = follow_symlinks is not False and not stores_links
        self._walk = entries or functools.partial(walk, folder, follow_symlinks=follow)
        self._stores_links = stores_links
        self._folder = folder
        self._bucket = bucket
        self._prefix = prefix
        self._takes = takes

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield pages of rows; the walk begins anew, and what is planned is dropped.

        Raises:
            LocalError: the folder cannot be read.
        """
        entries = await asyncio.to_thread(self._walk)

        def is_planned(entry: LocalFile | Refused, row: Row) -> bool:
            if begun.last is None:
                return False
            if begun.ascending and isinstance(entry, LocalFile):
                return row.source <= begun.last.source
            return begun.has(row)  # a name that is no text, or a folder, sorts otherwise than it comes

        def next_rows() -> list[Row] | None:
            page = list(islice(entries, PAGE_ROWS))
            found = [(entry, row) for entry in page if (row := self.row_of(entry)) is not None]
            return [row for entry, row in found if not is_planned(entry, row)] if page else None

        while (rows := await asyncio.to_thread(next_rows)) is not None:
            yield rows

    def row_of(self, entry: LocalFile | Refused) -> Row | None:
        """Return the row of something that a walk has found, None if it is not selected."""
        # A name that is no text cannot be written as JSON; it is shown escaped.
        path = os.fsencode(entry.path).decode(errors="backslashreplace")
        if isinstance(entry, Refused):
            if not self._takes(entry.path.removeprefix(os.path.join(self._folder, ""))):
                return None
            if self._stores_links and entry.reason is NOT_FOLLOWED:
                return self._stored(Row(n=0, action=Action.UPLOAD, source=path), entry.relative + SUFFIX)
            action = Action.SKIP if entry.unwanted else Action.UPLOAD
            return Row(n=0, action=action, source=path, reason=entry.reason)
        if not self._takes(entry.relative):
            return None
        if self._stores_links and names_link(entry.relative):
            return Row(n=0, action=Action.UPLOAD, source=path, reason=NAMED_AS_LINK)
        return self._stored(Row(n=0, action=Action.UPLOAD, source=path, size=entry.size_bytes), entry.relative)

    def _stored(self, row: Row, name: str) -> Row:
        """Return the row of what gets a name below the prefix."""
        key = self._prefix + name
        if (length := len(key.encode())) > MAX_KEY_BYTES:
            text = f"its key would have {length} bytes, and a key has at most {MAX_KEY_BYTES}"
            return msgspec.structs.replace(row, reason=text)
        return msgspec.structs.replace(row, destination=ObjectRef(self._bucket, key).url)


class GivenRows:
    """Rows that somebody else makes: a manifest, a comparison of two sides."""

    told = Told()

    def __init__(self, make: Callable[[], AsyncIterable[Sequence[Row]]]) -> None:
        """Take what makes all the rows, in the same order each time."""
        self._make = make

    async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the pages that follow.

        Raises:
            UsageError: the rows are not those that the plan began with.
        """
        left_out = 0
        async for page in self._make():
            rest = page[max(0, begun.rows - left_out) :]
            if left_out < begun.rows <= left_out + len(page):
                row = page[begun.rows - left_out - 1]
                if begun.last is not None and (row.source, row.destination) != (
                    begun.last.source,
                    begun.last.destination,
                ):
                    raise UsageError("the manifest is not the one that the plan began with", row.source)
            left_out += len(page)
            if rest:
                yield rest
        if left_out < begun.rows:
            raise UsageError(f"the manifest has {left_out} rows, and the plan began with {begun.rows}")


def _listed(bucket: str, head: ObjectHead, action: Action) -> Row:
    return Row(
        n=0,
        action=action,
        source=ObjectRef(bucket, head.key).url,
        size=head.size,
        etag=head.etag,
        last_modified=head.last_modified,
        storage_class=head.storage_class,
    )
