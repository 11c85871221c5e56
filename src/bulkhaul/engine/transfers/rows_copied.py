"""Plans the copy of the rows of a plan: one piece of work a row."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Callable, Coroutine

from bulkhaul.engine.transfers.batch import Piece
from bulkhaul.engine.transfers.rows import (
    Refs,
    RowPages,
    failed_row,
    pages_of,
    result_of_row,
    settled,
    wanted_by,
)
from bulkhaul.engine.transfers.rows_versions import VersionCopies
from bulkhaul.model.errors import TransferError, UsageError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.policy.storerules import require_current

CopyOne = Callable[..., Coroutine[None, None, TransferResult]]


async def copied_rows(
    rows: RowPages, copy: CopyOne, versions: VersionCopies, *, move: bool
) -> AsyncGenerator[Piece, None]:
    """Yield the work of each row.

    Args:
        copy: copies one object to another name; see ``copy.Copier``.
        versions: has the work on rows that are versions.
        move: it deletes the source.

    Raises:
        Whatever the iterable of rows raises.
    """
    sources, destinations = Refs(), Refs()
    async with contextlib.aclosing(pages_of(rows)) as pages:
        async for page in pages:
            for planned in page:
                kind = Action.MARK if isinstance(planned, Row) and planned.action is Action.MARK else Action.COPY
                if isinstance(row := settled(planned, kind), TransferResult):
                    yield Piece(row)
                    continue
                if not row.destination and row.reason:
                    yield Piece(failed_row(row, UsageError(row.reason)))
                    continue
                try:
                    source, ref = sources.ref(row.source), destinations.ref(row.destination)
                    require_current(source, row.version_id, move=move)
                    _require_version(row)
                except TransferError as error:
                    yield Piece(failed_row(row, error))
                    continue
                if row.older is not None:
                    yield versions.piece(row, source, ref)
                    continue
                wanted = wanted_by(row, source.key)
                work = functools.partial(copy, source, ref, version_id=row.version_id, wanted=wanted)
                yield Piece(result_of_row(row, ref), work)


def _require_version(row: Row) -> None:
    """Make sure that a row that is a version names it, and has its place."""
    if (row.action is Action.MARK and row.older is None) or (row.older is not None and not row.version_id):
        raise UsageError("a row that is one of all versions names its version, and how many older ones there are")
