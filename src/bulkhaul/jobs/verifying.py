"""Compares two places name by name, and tells what each verdict rests on: ``verify`` and ``verify_async``.

list both ─▶ merge_join ─▶ PairCheck, many side by side ─▶ results in the order of names ─▶ certificate
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence

from bulkhaul.disk.walk import Refused
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.jobs.certificate import VERSION, CertificateHead, CertificateWriter
from bulkhaul.jobs.comparing import DIRECTORY_BUCKET
from bulkhaul.jobs.merge_join import Pair, merge_join
from bulkhaul.jobs.ordering import in_order
from bulkhaul.jobs.places import FileSide
from bulkhaul.jobs.sides import Item, file_pages, object_pages, read_ahead
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verify_pair import PairCheck
from bulkhaul.jobs.verify_places import Places, Side, StoredSide, places_of
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.verdicts import PairResult, Verdict
from bulkhaul.policy.comparison import Entry, Unknown
from bulkhaul.policy.selection import excludes_below, selector
from bulkhaul.policy.verify_rules import parse_rules

LOOKED_AT_ONCE = 64
"""Pairs that are looked at side by side, with a HEAD of each object."""

AHEAD = 512
"""Pairs that may have begun while an earlier one is still read: results come in the order of names."""

ROWS_AT_ONCE = 500
"""Rows of a certificate that are written together."""

Begun = PairResult | Callable[[], Awaitable[PairResult]]
"""A verdict, or what comes to one when it is called."""


def verify(
    engine: Engine,
    one: str | os.PathLike[str],
    other: str | os.PathLike[str],
    options: VerifyOptions | None = None,
    *,
    origin: AsyncEngine | None = None,
    counts: VerifyCounts | None = None,
) -> Iterator[PairResult]:
    """Compare on the loop of a blocking engine; see ``verify_async``."""
    return engine.each(verify_async(engine.aio, one, other, options, origin=origin, counts=counts))


async def verify_async(
    engine: AsyncEngine,
    one: str | os.PathLike[str],
    other: str | os.PathLike[str],
    options: VerifyOptions | None = None,
    *,
    origin: AsyncEngine | None = None,
    counts: VerifyCounts | None = None,
) -> AsyncGenerator[PairResult, None]:
    """Compare what is below two places, or one object or file of each; nothing is changed.

    Args:
        origin: an engine of the first place's endpoint or credentials.
        counts: is kept up to date.

    Yields:
        One result a name, in the order of names. What cannot be looked at is undecidable, and never equal.

    Raises:
        UsageError: the options, or the places, make no sense together.
        NotFound: neither place has anything that is selected.
        LocalError: the certificate cannot be written.
        TransferError: a place cannot be listed.
    """
    options, counts = options or VerifyOptions(), counts if counts is not None else VerifyCounts()
    rules, extras = parse_rules(
        options.compare, read=options.read, read_all=options.read_all, part_size_bytes=options.part_size_bytes
    )
    paths = (os.fspath(one), os.fspath(other))
    if extras and not all(path.startswith("s3://") for path in paths):
        raise UsageError(f"files have no {' nor '.join(sorted(extras))}; compare these between objects only")
    places = await places_of(origin or engine, engine, *paths)
    if places.single and (options.include or options.exclude):
        raise UsageError("patterns choose among many names; each of these places is one", paths[0])
    writer = None
    if options.certificate:
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        head = CertificateHead(VERSION, *paths, options.compare, places.single, made)
        writer = await in_thread(CertificateWriter, options.certificate, head)
    rows: list[PairResult] = []
    pairs = PairCheck(places.one, places.other, rules, extras)
    try:
        begun = _single(pairs) if places.single else _below(pairs, places, options)
        async with contextlib.aclosing(in_order_of_names(begun)) as results:
            async for result in results:
                counts.add(result)
                if writer is not None and counts.all_equal:
                    rows.append(result)
                    if len(rows) >= ROWS_AT_ONCE:
                        await in_thread(writer.add, rows)
                        rows.clear()
                yield result
        if not counts.compared:
            raise NotFound("neither place has anything that is selected, so nothing was compared", paths[0])
        if writer is not None and counts.all_equal:
            await in_thread(writer.add, rows)
            counts.root = await in_thread(writer.finish)
    finally:
        if writer is not None:
            writer.discard()


async def in_order_of_names(begun: AsyncGenerator[Sequence[Begun], None]) -> AsyncGenerator[PairResult, None]:
    """Yield the results of what comes in pages, in this order; ``LOOKED_AT_ONCE`` are under way at a time."""
    waiting: deque[asyncio.Future[PairResult] | PairResult] = deque()
    slots = asyncio.Semaphore(LOOKED_AT_ONCE)

    async def looked_at(work: Callable[[], Awaitable[PairResult]]) -> PairResult:
        async with slots:
            return await work()

    try:
        async with contextlib.aclosing(begun):
            async for page in begun:
                for one in page:
                    waiting.append(one if isinstance(one, PairResult) else asyncio.ensure_future(looked_at(one)))
                    while len(waiting) >= AHEAD or (waiting and _ready(waiting[0])):
                        yield await _result(waiting)
        while waiting:
            yield await _result(waiting)
    finally:
        left = [one for one in waiting if not isinstance(one, PairResult)]
        for task in left:
            task.cancel()
        if left:
            await outlast(*left)


def _ready(one: asyncio.Future[PairResult] | PairResult) -> bool:
    return isinstance(one, PairResult) or one.done()


async def _result(waiting: deque[asyncio.Future[PairResult] | PairResult]) -> PairResult:
    one = waiting[0]
    result = one if isinstance(one, PairResult) else await asyncio.shield(one)
    waiting.popleft()
    return result


async def _single(pairs: PairCheck) -> AsyncGenerator[list[Begun], None]:
    yield [functools.partial(pairs.check, "", (Entry(""), Entry("")), fresh=True)]


async def _below(pairs: PairCheck, places: Places, options: VerifyOptions) -> AsyncGenerator[list[Begun], None]:
    takes = selector(places.selection, options.include, options.exclude)
    excludes = excludes_below(options.exclude)
    nameless: deque[Refused] = deque()
    told = _Pairs(pairs, places)
    sides = [_listed(side, takes, excludes, nameless.append) for side in (places.one, places.other)]
    async with read_ahead(sides[0]) as ours, read_ahead(sides[1]) as theirs:
        async with contextlib.aclosing(merge_join(ours, theirs)) as joined:
            async for page in joined:
                yield [begun for pair in page if (begun := told.begun(pair)) is not None]
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
    """Begins the comparison of each pair of a join, whose names ascend."""

    def __init__(self, pairs: PairCheck, places: Places) -> None:
        self._pairs = pairs
        self._sides = (places.one, places.other)
        self._unread: tuple[list[Unknown], list[Unknown]] = ([], [])

    def begun(self, pair: Pair[Item]) -> Begun | None:
        """Return the verdict on a pair, or what comes to it; None for what marks a folder only."""
        ours, theirs = pair
        for side, one in enumerate(pair):
            if isinstance(one, Unknown):
                self._unread[side].append(one)
        found = ours if ours is not None else theirs
        assert found is not None
        if isinstance(ours, Entry) and isinstance(theirs, Entry):
            return functools.partial(self._pairs.check, found.name, (ours, theirs))
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
            size_bytes=found.size_bytes if isinstance(found, Entry) else 0,
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
