"""Lists the objects that a prefix or a pattern selects, for downloads and copies of many."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.selection import Source, all_left_out, nothing_matches
from bulkhaul.wire.values import RemoteObject


async def list_selected(
    control: Control, source: Source, takes: Callable[[str], bool]
) -> AsyncGenerator[RemoteObject, None]:
    """Yield what a listing selects, one page in memory; raises what ``list_selected_pages`` does."""
    async with contextlib.aclosing(list_selected_pages(control, source, takes)) as pages:
        async for page in pages:
            for remote in page:
                yield remote


async def list_selected_pages(
    control: Control, source: Source, takes: Callable[[str], bool]
) -> AsyncGenerator[list[RemoteObject], None]:
    """Yield what a listing selects of each page.

    Raises:
        NotFound: nothing is there to be selected; that filters leave out all of it is no error.
        TransferError: the listing failed.
    """
    found = False
    async with contextlib.aclosing(control.pages(source.bucket, source.prefix)) as pages:
        async for heads in pages:
            target = await control.target(source.bucket)
            page = [RemoteObject(ObjectRef(source.bucket, head.key), head, target) for head in heads if takes(head.key)]
            found = found or bool(page)
            yield page
    if not found and not all_left_out(takes):
        raise nothing_matches(source)
