"""Asks a listing for given keys: one page tells of a thousand, as long as enough of them lie close together."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.objects import ObjectHead
from bulkhaul.policy.listed_keys import common_folder, listing_pays


async def listed_keys(
    control: Control, bucket: str, keys: Collection[str], *, restores: bool = False
) -> AsyncGenerator[dict[str, ObjectHead], None]:
    """Yield what each page of a listing tells of the keys, until it has told of all, or no longer pays.

    Of a key that no page tells of nothing is known: it may be gone, or the listing may not have come so far.

    Args:
        keys: each of them can be encoded.
        restores: tell the status of archived objects, too, where the endpoint does.

    Raises:
        TransferError: a page cannot be had.
    """
    if not keys:
        return
    ordered = sorted(keys)  # by code points, which is the order of UTF-8, too
    first, last = ordered[0], ordered[-1]
    missing, pages, told = set(ordered), 0, 0
    listing = control.pages_after(bucket, common_folder(first, last), first[:-1], ahead=False, restores=restores)
    async with aclosing(listing):
        while missing and listing_pays(len(ordered), pages, told):
            heads: Sequence[ObjectHead] = await anext(listing, [])  # a tuple makes CPython 3.11 raise SystemError
            found = {head.key: head for head in heads if head.key in missing}
            pages, told = pages + 1, told + len(found)
            missing.difference_update(found)
            yield found
            if not heads or heads[-1].key.encode() >= last.encode():
                return
