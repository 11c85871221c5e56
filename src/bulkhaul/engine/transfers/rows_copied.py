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
    head_of_row,
    pages_of,
    result_of_row,
    settled,
)
from bulkhaul.model.errors import TransferError
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action
from bulkhaul.policy.storerules import require_current

CopyOne = Callable[..., Coroutine[None, None, TransferResult]]


async def copied_rows(rows: RowPages, copy: CopyOne, *, move: bool) -> AsyncGenerator[Piece, None]:
    """Yield the work of each row.

    Args:
        copy: copies one object to another name; see ``copy.Copier``.
        move: it deletes the source.

    Raises:
        Whatever the iterable of rows raises.
    """
    sources, destinations = Refs(), Refs()
    async with contextlib.aclosing(pages_of(rows)) as pages:
        async for page in pages:
            for planned in page:
                if isinstance(row := settled(planned, Action.COPY), TransferResult):
                    yield Piece(row)
                    continue
                try:
                    source, ref = sources.ref(row.source), destinations.ref(row.destination)
                    require_current(source, row.version_id, move=move)
                except TransferError as error:
                    yield Piece(failed_row(row, error))
                    continue
                wanted = head_of_row(row, source.key) if row.etag else None
                work = functools.partial(copy, source, ref, version_id=row.version_id, wanted=wanted)
                yield Piece(result_of_row(row, ref), work)
