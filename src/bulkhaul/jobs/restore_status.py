"""Asks for the status of archived objects: a listing tells a thousand at once, HEAD where a listing cannot tell.

A listing cannot tell of a version, of an archive of INTELLIGENT_TIERING, nor of anything where the endpoint leaves the
status out. Few objects among many others are cheaper asked for one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from itertools import groupby

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.operations.list_keys import listed_keys
from bulkhaul.jobs.waiting_rows import Waiting
from bulkhaul.model.errors import AccessDenied, NetworkError, ServerError, Throttled, TransferError, Unsupported
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.policy.archives import TIERING, State, archival

AT_ONCE = 128
"""Requests side by side."""

Told = ObjectHead | TransferError


class RestoreStatus:
    """Tells the status of the objects of rows."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._mute = set[str]()

    async def of(self, rows: Sequence[Waiting], *, now_s: float, away: bool = False) -> list[Told]:
        """Return what is told of each object, or why nothing is.

        Args:
            rows: those of one bucket together, in the order of their keys.
            away: that no object could be asked for is an error, too.

        Raises:
            TransferError: a listing failed.
        """
        told: list[Told | None] = []  # one a row
        for bucket, group in groupby(rows, key=lambda one: one.bucket):
            told += await self._listed(bucket, list(group))
        unsure = {place for place, one in enumerate(rows) if one.asked and _is_archived(told[place], now_s)}
        unknown = [place for place, head in enumerate(told) if head is None or place in unsure]
        for start in range(0, len(unknown), AT_ONCE):
            places = unknown[start : start + AT_ONCE]
            for place, asked in zip(places, await asyncio.gather(*(self._head(rows[n]) for n in places)), strict=True):
                told[place] = asked
                if place in unsure and isinstance(asked, ObjectHead) and asked.restore:
                    self._mute.add(rows[place].bucket)  # its listings do not tell what HEAD does
        failed = [error for place in unknown if isinstance(error := told[place], TransferError) and is_away(error)]
        if away and failed and len(failed) == len(unknown):
            raise failed[0]
        return [head for head in told if head is not None]

    async def _listed(self, bucket: str, rows: Sequence[Waiting]) -> list[ObjectHead | None]:
        wanted = [_is_listed(one) and bucket not in self._mute for one in rows]
        keys = [one.key for one, listed in zip(rows, wanted, strict=True) if listed]
        found = await self._pages(bucket, keys)
        return [found.get(one.key) if listed else None for one, listed in zip(rows, wanted, strict=True)]

    async def _pages(self, bucket: str, keys: Sequence[str]) -> dict[str, ObjectHead]:
        found: dict[str, ObjectHead] = {}
        try:
            async with aclosing(listed_keys(self._control, bucket, keys, restores=True)) as pages:
                async for page in pages:
                    found |= page
        except (AccessDenied, Unsupported):
            self._mute.add(bucket)  # who may read objects need not be allowed to list them
        return found

    async def _head(self, one: Waiting) -> Told:
        try:
            return await self._control.head(ObjectRef(one.bucket, one.key), one.row.version_id)
        except TransferError as error:
            return error


def is_away(error: TransferError) -> bool:
    """Whether the service could not be reached, or answered that it cannot answer now."""
    return isinstance(error, NetworkError | ServerError | Throttled)


def _is_archived(told: Told | None, now_s: float) -> bool:
    """Whether a listing says so, or leaves out what became of a request."""
    return isinstance(told, ObjectHead) and archival(told, now_s=now_s).state is State.ARCHIVED


def _is_listed(one: Waiting) -> bool:
    """Whether a listing can tell what there is to know of a row's object."""
    row = one.row
    return not (row.version_id or one.refused or row.storage_class == TIERING or not row.etag)
