"""Plans the upload of a folder: small files of one folder go together, a move in an order in which it loses nothing.

A move of a folder removes each file as soon as it is stored, so what needs a file has to go before it:

    files behind links to folders ─▶ links to links … ─▶ links ─▶ files by their own names
                                 ╰─ each kind when the one before it has ended
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import AsyncGenerator, Callable

import msgspec

from bulkhaul.disk.source import folder_identity
from bulkhaul.disk.walk import NOT_FOLLOWED, LocalFile, Names, Refused, walk
from bulkhaul.engine.transfers.batch import Group, Piece, Work
from bulkhaul.engine.transfers.endpoints import destination_prefix
from bulkhaul.engine.transfers.result import upload_result
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.upload_pieces import SmallFilePieces, long_key
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.links import NAMED_AS_LINK, SUFFIX, names_link


class LinkRule(msgspec.Struct, frozen=True):
    """What becomes of symbolic links below a folder that is uploaded.

    Attributes:
        follow: upload what they lead to; else leave them out.
        enter: also what is behind links to folders.
        first: upload what links lead to before anything else, as files are removed once they are stored.
    """

    follow: bool = True
    enter: bool = True
    first: bool = False


def link_rule(follow_symlinks: bool | None, *, move: bool, dry_run: bool) -> LinkRule:
    """Return the rule that a caller asks for; None for the usual one, by which a move enters no links to folders."""
    enter = not move if follow_symlinks is None else follow_symlinks
    return LinkRule(follow=follow_symlinks is not False, enter=enter, first=move and not dry_run)


def left_out(path: str, url: str) -> TransferResult:
    """Return the result of a symbolic link that is named itself where links are left out.

    Raises:
        InvalidUrl: the URL names no bucket.
    """
    return _refused(Refused(path, NOT_FOLLOWED, unwanted=True), destination_prefix(url)[0])


async def upload_pieces(
    uploader: Uploader,
    folder: str,
    bucket: str,
    prefix: str,
    takes: Callable[[str], bool],
    options: ObjectOptions,
    links: LinkRule,
    *,
    remove: bool,
) -> AsyncGenerator[Piece | Group, None]:
    """Yield the work of each file below a folder; what is no regular file fails by name, and the rest goes on.

    A link that is not to be followed is skipped.

    Args:
        prefix: put before each path below the folder.
        takes: whether a path below the folder is selected.
        remove: remove each file once it is stored, but none that lies behind a link to a folder.

    Raises:
        LocalError: the folder cannot be read.
    """
    inside = folder_identity(folder) if remove else None
    under_way = _UnderWay()
    gathered = None if remove or links.first else SmallFilePieces(uploader, options)
    async with contextlib.aclosing(_entries(folder, links, under_way)) as entries:
        async for entry in entries:
            if isinstance(entry, Refused) and uploader.stores_links and entry.reason is NOT_FOLLOWED:
                if takes(entry.relative):
                    ref = ObjectRef(bucket, prefix + entry.relative + SUFFIX)
                    link = functools.partial(uploader.upload_file, entry.path, ref, options, remove=remove)
                    yield Piece(upload_result(entry.path, ref, 0), link)
                continue
            if not isinstance(entry, LocalFile):
                if takes(entry.path.removeprefix(os.path.join(folder, ""))):
                    yield Piece(_refused(entry, bucket))
                continue
            if not takes(entry.relative):
                continue
            if uploader.stores_links and names_link(entry.relative):  # a link beside it may have this very key
                yield Piece(_refused(Refused(entry.path, NAMED_AS_LINK), bucket))
                continue
            ref = ObjectRef(bucket, prefix + entry.relative)
            result = upload_result(entry.path, ref, entry.size_bytes)
            if too_long := long_key(ref, entry.path):
                yield Piece(_failed(result, too_long))
            else:
                removed = remove and not entry.behind
                upload = functools.partial(
                    uploader.upload_file, entry.path, ref, options, remove=removed, inside=inside
                )
                work = under_way.counted(upload)
                # A file of a batch has a name of its own, and nothing about it is special.
                if gathered is None or entry.hops or entry.behind or not gathered.takes(entry.path, ref, result):
                    yield Piece(result, work)
                else:
                    for group in gathered.add(entry.path, ref, result, work):
                        yield group
    for group in gathered.rest() if gathered is not None else ():
        yield group


async def _entries(folder: str, links: LinkRule, under_way: _UnderWay) -> AsyncGenerator[LocalFile | Refused, None]:
    """Yield what is below a folder, in an order in which every link is uploaded before what it leads to is removed."""
    listed = functools.partial(walk, folder, follow_symlinks=links.follow, enter_links=links.enter)
    if not links.first:
        for entry in listed():
            yield entry
        return
    ranks: set[int] = set()
    for entry in listed(names=Names.LINKS):
        if isinstance(entry, LocalFile):
            ranks.add(rank_of(entry))
        else:
            yield entry
    for rank in sorted(ranks, reverse=True):
        for entry in listed(names=Names.LINKS):
            if isinstance(entry, LocalFile) and rank_of(entry) == rank:
                yield entry
        await under_way.ended()
    for entry in listed(names=Names.PLAIN):
        yield entry


def rank_of(entry: LocalFile) -> int:
    """Return a higher number for what has to go earlier."""
    return sys.maxsize if entry.behind else entry.hops


class _UnderWay:
    """Counts the pieces of work that have not ended."""

    def __init__(self) -> None:
        self._count = 0
        self._news = asyncio.Event()

    def counted(self, work: Work) -> Work:
        """Return the work, which counts from now on until it has ended."""
        self._count += 1

        async def done() -> TransferResult:
            try:
                return await work()
            finally:
                self._count -= 1
                self._news.set()

        return done

    async def ended(self) -> None:
        """Wait until there is none."""
        while self._count:
            self._news.clear()
            await self._news.wait()


def _refused(entry: Refused, bucket: str) -> TransferResult:
    result = TransferResult(source=entry.path, destination="", bucket=bucket, key="")
    if entry.unwanted:
        return msgspec.structs.replace(result, skipped=entry.reason)
    return _failed(result, ErrorInfo("LocalError", f"it cannot be uploaded: {entry.reason}", entry.path))


def _failed(result: TransferResult, failure: ErrorInfo) -> TransferResult:
    return msgspec.structs.replace(result, failure=failure)
