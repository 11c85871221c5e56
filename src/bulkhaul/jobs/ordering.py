"""Makes sure that a listing comes in ascending order of names, as a join needs it.

in order                     ─▶ passed on, page by page
out of order from the start  ─▶ sorted on disk, then passed on      directory buckets, stores with an order of their own
out of order later           ─▶ refused: what came before was acted upon already
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.spool import SortedEntries
from bulkhaul.model.errors import OtherError
from bulkhaul.policy.comparison import Entry


async def in_order(
    pages: AsyncGenerator[list[Entry], None], subject: str, *, unordered: bool = False
) -> AsyncGenerator[list[Entry], None]:
    """Yield the entries of a listing in strictly ascending order of names.

    Args:
        subject: what is listed, for the error.
        unordered: the service is known to list in no order.

    Raises:
        OtherError: what comes after the first page that holds anything is out of order; the message names it.
    """
    last: str | None = None
    async with contextlib.aclosing(pages):
        async for page in pages:
            disorder = _disorder(page, last)
            if last is None and page and (unordered or disorder):
                async with contextlib.aclosing(_sorted(page, pages)) as found:
                    async for one in found:
                        yield one
                return
            if disorder:
                text = f"the service lists keys out of order ({disorder}), so the two sides cannot be compared"
                raise OtherError(text, subject)
            if page:
                last = page[-1].name
                yield page


def _disorder(page: Sequence[Entry], last: str | None) -> str:
    """Return the first two names that do not ascend, for people; empty if all do."""
    before = last
    for entry in page:
        if before is not None and entry.name <= before:
            return f"{entry.name!r} after {before!r}"
        before = entry.name
    return ""


async def _sorted(first: list[Entry], pages: AsyncGenerator[list[Entry], None]) -> AsyncGenerator[list[Entry], None]:
    entries = SortedEntries()
    try:
        await in_thread(entries.add, first)
        async for page in pages:
            await in_thread(entries.add, page)
        last: str | None = None
        while page := await in_thread(entries.after, last):
            yield page
            last = page[-1].name
    finally:
        entries.close()
