"""Plans the upload of the rows of a plan: small files of one folder go together, as far as they lie in one page."""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from collections.abc import AsyncGenerator

import msgspec

from bulkhaul.disk.links import is_link
from bulkhaul.disk.paths import local_path
from bulkhaul.engine.transfers.batch import Group, Piece
from bulkhaul.engine.transfers.rows import Refs, RowPages, failed_row, pages_of, result_of_row, settled
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.upload_pieces import SmallFilePieces
from bulkhaul.model.errors import LocalError, SourceChanged, TransferError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.links import SUFFIX


async def uploaded_rows(
    uploader: Uploader, rows: RowPages, options: ObjectOptions, *, remove: bool
) -> AsyncGenerator[Piece | Group, None]:
    """Yield the work of each row.

    Args:
        remove: remove each file once it is stored.

    Raises:
        Whatever the iterable of rows raises.
    """
    refs = Refs()
    gathered = SmallFilePieces(uploader, options)
    async with contextlib.aclosing(pages_of(rows)) as pages:
        async for page in pages:
            for each in page:
                if isinstance(row := settled(each, Action.UPLOAD), TransferResult):
                    yield Piece(row)
                    continue
                try:
                    path, ref = _file(row.source), refs.ref(row.destination)
                    if uploader.stores_links:
                        _require_link(path, ref.key)
                except TransferError as error:
                    yield Piece(failed_row(row, error))
                    continue
                work = functools.partial(uploader.upload_file, path, ref, options, remove=remove)
                planned, plain = result_of_row(row, ref), True
                if row.size is None:
                    size_bytes, plain = _looked_at(path, stores_links=uploader.stores_links)
                    planned = msgspec.structs.replace(planned, size=size_bytes)
                if remove or not plain or not gathered.takes(path, ref, planned):
                    yield Piece(planned, work)
                else:
                    for group in gathered.add(path, ref, planned, work):
                        yield group
            for group in gathered.rest():
                yield group


def _file(source: str) -> str:
    """Return the path of a row's file.

    Raises:
        LocalError: no path is like that, or none that can be told to anybody.
    """
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise LocalError("its name is not valid UTF-8", source) from error
    if not os.path.basename(local_path(source)):
        raise LocalError("this names no file", source)
    return source


def _require_link(path: str, key: str) -> None:
    """Make sure that what was planned as a link is one.

    Raises:
        SourceChanged: it is none any more, and its bytes would be taken for the target of a link.
    """
    if os.path.basename(key) == os.path.basename(path) + SUFFIX and not is_link(path):
        raise SourceChanged("it was to be stored as a link, and is no link; plan it anew", path)


def _looked_at(path: str, *, stores_links: bool) -> tuple[int, bool]:
    """Return the length of a file, and whether it is a regular file by itself; 0 where opening it will tell why."""
    try:
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            return found.st_size if stores_links else os.stat(path).st_size, False
    except OSError:
        return 0, False
    return found.st_size, stat.S_ISREG(found.st_mode)
