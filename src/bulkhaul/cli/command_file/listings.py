"""Learns size and ETag of objects that are named one by one from listings, where they lie side by side.

A file of commands is often made from a listing. Then one LIST tells of a thousand lines what would take as many HEADs.
Where listings tell little, or are not allowed, nobody is asked again.
"""

from __future__ import annotations

import contextlib
from collections import Counter

import msgspec

from bulkhaul.engine.operations.control import Control
from bulkhaul.model.errors import TransferError
from bulkhaul.model.rows import Row
from bulkhaul.policy.selection import named_object

LEAST_ROWS = 50
"""Rows of a bucket that are worth a LIST. Source: S3 price list; a LIST costs what 12 HEADs do."""

PAGE_KEYS = 1000
"""Keys of a page. Source: API reference, ListObjectsV2."""

USEFUL = 0.25
"""The part of the rows that a listing must tell of to be of use."""

USELESS = 2
"""Listings of a bucket in a row that were of no use, after which there are no more."""


class Listings:
    """What listings tell of the rows of downloads."""

    def __init__(self) -> None:
        self._useless = Counter[str]()

    async def told(self, control: Control, rows: list[Row]) -> list[Row]:
        """Return the rows in their order; those that a listing tells of have size and ETag."""
        told = {row.n: row for row in rows}
        buckets: dict[str, dict[str, list[Row]]] = {}
        for row in rows:
            bucket, key = named_object(row.source)
            buckets.setdefault(bucket, {}).setdefault(key, []).append(row)
        for bucket, named in buckets.items():
            if len(named) < LEAST_ROWS or self._useless[bucket] >= USELESS:
                continue
            found = 0
            with contextlib.suppress(TransferError):  # HEAD will tell
                found = await _find(control, bucket, named, told)
            self._useless[bucket] = 0 if found >= len(named) * USEFUL else self._useless[bucket] + 1
        return list(told.values())


async def _find(control: Control, bucket: str, named: dict[str, list[Row]], told: dict[int, Row]) -> int:
    """Replace the rows that a few pages tell of, and return how many keys those were.

    Raises:
        TransferError: the service refused.
    """
    first, last = min(named), max(named)
    pages_left = len(named) // PAGE_KEYS + 2
    found = 0
    async with contextlib.aclosing(control.pages(bucket, shared_prefix(first, last), ahead=False)) as pages:
        async for page in pages:
            for head in page:
                for row in named.get(head.key, ()):
                    known = {"size": head.size, "etag": head.etag, "last_modified": head.last_modified}
                    told[row.n] = msgspec.structs.replace(row, **known)
                found += head.key in named
            pages_left -= 1
            if not pages_left or found == len(named) or page[-1].key >= last:
                break
    return found


def shared_prefix(first: str, last: str) -> str:
    """Return what the first and the last one of sorted keys begin with, and so all between them.

    >>> shared_prefix("run/0100", "run/0199"), shared_prefix("a", "ab"), shared_prefix("a", "b")
    ('run/01', 'a', '')
    """
    length = 0
    for one, other in zip(first, last, strict=False):
        if one != other:
            break
        length += 1
    return first[:length]
