"""Lists two places that are compared, joins their names, and tells of each whether there is a pair to be compared.

list both ─▶ merge_join ─▶ pairs, and verdicts on what only one side has or a side cannot look at
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from bulkhaul.disk.walk import Refused
from bulkhaul.jobs.comparing import DIRECTORY_BUCKET
from bulkhaul.jobs.merge_join import Pair, merge_join
from bulkhaul.jobs.ordering import in_order
from bulkhaul.jobs.places import FileSide
from bulkhaul.jobs.sides import Item, file_pages, object_pages, read_ahead
from bulkhaul.jobs.verify_places import Places, Side, StoredSide
from bulkhaul.model.errors import UsageError
from bulkhaul.model.verdicts import PairResult, Verdict
from bulkhaul.policy.comparison import Entry, Unknown
from bulkhaul.policy.selection import excludes_below, selector

NamedPair = tuple[Entry, Entry] | PairResult
"""What both sides have of one name; the verdict where one of them does not have it, or cannot be looked at."""


async def named_pairs(
    places: Places, include: Sequence[str], exclude: Sequence[str]
) -> AsyncGenerator[list[NamedPair], None]:
    """Yield pages of what two places have, in the order of names; of single ones the listing tells nothing.

    Raises:
        UsageError: patterns, where each place is one object or file.
        TransferError: a place cannot be listed.
    """
    if places.single:
        if include or exclude:
            raise UsageError("patterns choose among many names; each of these places is one", places.one.place(""))
        yield [(Entry(""), Entry(""))]
        return
    takes, excludes = selector(places.selection, include, exclude), excludes_below(include, exclude)
    nameless: deque[Refused] = deque()
    told = _Pairs(places)
    sides = [_listed(side, takes, excludes, nameless.append) for side in (places.one, places.other)]
    async with read_ahead(sides[0]) as ours, read_ahead(sides[1]) as theirs:
        async with contextlib.aclosing(merge_join(ours, theirs)) as joined:
            async for page in joined:
                yield [one for pair in page if (one := told.named(pair)) is not None]
    yield [_unnamed(one, places) for one in nameless]


def _listed(
    side: Side, takes: Callable[[str], bool], excludes: Callable[[str], bool], nameless: Callable[[Refused], None]
) -> AsyncGenerator[list[Item], None]:
    if isinstance(side, StoredSide):
        return _objects(side, takes)
    # As the destination of a sync: it may be missing, and temp files of downloads are no part of it.
    return file_pages(
        side.base, takes, excludes, follow_symlinks=True, folders=False, destination=True, nameless=nameless
    )


async def _objects(side: StoredSide, takes: Callable[[str], bool]) -> AsyncGenerator[list[Item], None]:
    listing = object_pages(side.engine.control, side.bucket, side.listed, side.base, takes)
    unordered = side.bucket.endswith(DIRECTORY_BUCKET)
    pages: AsyncIterator[Sequence[Entry]]
    async with contextlib.aclosing(
        in_order(listing, f"s3://{side.bucket}/{side.listed}", unordered=unordered)
    ) as pages:
        async for page in pages:
            yield list(page)


class _Pairs:
    """Tells of each pair of a join, whose names ascend, whether it is to be compared."""

    def __init__(self, places: Places) -> None:
        self._sides = (places.one, places.other)
        self._unread: tuple[list[Unknown], list[Unknown]] = ([], [])

    def named(self, pair: Pair[Item]) -> NamedPair | None:
        """Return what both sides have, or the verdict where one of them has it not; None for what marks a folder."""
        ours, theirs = pair
        for side, one in enumerate(pair):
            if isinstance(one, Unknown):
                self._unread[side].append(one)
        found = ours if ours is not None else theirs
        assert found is not None
        if isinstance(ours, Entry) and isinstance(theirs, Entry):
            return ours, theirs
        unknown = next((one for one in pair if isinstance(one, Unknown)), None)
        if unknown is not None:
            if not unknown.reason:
                return None  # nothing that is selected
            return self._told(found, f"it cannot be looked at: {unknown.reason}")
        assert isinstance(found, Entry)
        absent = 1 if theirs is None else 0
        if found.name.endswith("/") and not found.size_bytes and isinstance(self._sides[absent], FileSide):
            return None  # it marks a folder
        if (hidden := self._hidden(absent, found.name)) is not None:
            return self._told(found, f"what is at {self._sides[absent].place(hidden.name)} is unknown: {hidden.reason}")
        place = self._sides[absent].place(found.name)
        return self._told(found, f"it is not at {place}", missing=place)

    def _told(self, found: Item, reason: str, *, missing: str = "") -> PairResult:
        return PairResult(
            name=found.name,
            one=self._sides[0].place(found.name),
            other=self._sides[1].place(found.name),
            verdict=Verdict.MISSING if missing else Verdict.UNDECIDABLE,
            reason=reason,
            missing=missing,
            size=found.size_bytes if isinstance(found, Entry) else 0,
        )

    def _hidden(self, side: int, name: str) -> Unknown | None:
        """Return what a side could not look at and the name lies below of."""
        if not self._unread[side]:
            return None
        self._unread[side][:] = [one for one in self._unread[side] if name <= one.below or name.startswith(one.below)]
        return next((one for one in self._unread[side] if name.startswith(one.below)), None)


def _unnamed(refused: Refused, places: Places) -> PairResult:
    at_one = isinstance(places.one, FileSide) and refused.path.startswith(places.one.base)
    return PairResult(
        name="",
        one=refused.path if at_one else "",
        other="" if at_one else refused.path,
        verdict=Verdict.UNDECIDABLE,
        reason=f"it has a name that no key can have: {refused.reason}",
    )
