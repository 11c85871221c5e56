"""Compares two places name by name, and tells what each verdict rests on: ``verify`` and ``verify_async``.

verify_names ─▶ PairCheck, many side by side ─▶ results in the order of names ─▶ certificate
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.transfers.plan_ahead import read_ahead
from bulkhaul.jobs.certificate import VERSION, CertificateHead, CertificateWriter
from bulkhaul.jobs.verify_names import NamedPair, named_pairs
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verify_pair import PairCheck
from bulkhaul.jobs.verify_places import places_of
from bulkhaul.jobs.verify_progress import VerifyProgress
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.verdicts import PairResult, Verdict
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
    progress: VerifyProgress | None = None,
) -> Iterator[PairResult]:
    """Compare on the loop of a blocking engine; see ``verify_async``."""
    return engine.each(verify_async(engine.aio, one, other, options, origin=origin, counts=counts, progress=progress))


async def verify_async(
    engine: AsyncEngine,
    one: str | os.PathLike[str],
    other: str | os.PathLike[str],
    options: VerifyOptions | None = None,
    *,
    origin: AsyncEngine | None = None,
    counts: VerifyCounts | None = None,
    progress: VerifyProgress | None = None,
) -> AsyncGenerator[PairResult, None]:
    """Compare what is below two places, or one object or file of each; nothing is changed.

    Args:
        origin: an engine of the first place's endpoint or credentials.
        counts, progress: are kept up to date.

    Yields:
        One result a name, in the order of names. What cannot be looked at is undecidable, and never equal.

    Raises:
        UsageError: the options, or the places, make no sense together.
        NotFound: neither place has anything that is selected.
        LocalError: the certificate cannot be written.
        TransferError: a place cannot be listed.
    """
    options, counts = options or VerifyOptions(), counts if counts is not None else VerifyCounts()
    progress = progress or VerifyProgress()
    rules, extras = parse_rules(
        options.compare, read=options.read, read_all=options.read_all, part_size_bytes=options.part_size_bytes
    )
    paths = (os.fspath(one), os.fspath(other))
    if extras and not all(path.startswith("s3://") for path in paths):
        raise UsageError(f"files have no {' nor '.join(sorted(extras))}; compare these between objects only")
    places = await places_of(origin or engine, engine, *paths)
    writer = None
    if options.certificate:
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        head = CertificateHead(VERSION, *paths, options.compare, places.single, made)
        writer = await in_thread(CertificateWriter, options.certificate, head)
    rows: list[PairResult] = []
    pairs = PairCheck(places.one, places.other, rules, extras, progress=progress)
    try:
        begun = _begun(pairs, named_pairs(places, options.include, options.exclude), fresh=places.single)
        async with contextlib.aclosing(in_order_of_names(begun, progress)) as results:
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


async def in_order_of_names(
    begun: AsyncGenerator[Sequence[Begun], None], progress: VerifyProgress
) -> AsyncGenerator[PairResult, None]:
    """Yield the results of what comes in pages, in this order; ``LOOKED_AT_ONCE`` are under way at a time.

    Pages are read ahead, so that ``progress`` knows early how many names there are.
    """
    waiting: deque[asyncio.Future[PairResult] | PairResult] = deque()
    slots = asyncio.Semaphore(LOOKED_AT_ONCE)

    def found(page: Sequence[Begun]) -> int:
        progress.found += len(page)
        return len(page)

    async def looked_at(work: Callable[[], Awaitable[PairResult]]) -> PairResult:
        async with slots:
            result = await work()
        progress.decided(equal=result.verdict is Verdict.EQUAL)
        return result

    try:
        async with contextlib.aclosing(read_ahead(_to_the_end(begun, progress), found)) as pages:
            async for page in pages:
                for one in page:
                    if isinstance(one, PairResult):
                        progress.decided(equal=one.verdict is Verdict.EQUAL)
                        waiting.append(one)
                    else:
                        waiting.append(asyncio.ensure_future(looked_at(one)))
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


async def _to_the_end(
    begun: AsyncGenerator[Sequence[Begun], None], progress: VerifyProgress
) -> AsyncGenerator[Sequence[Begun], None]:
    """Yield the same pages, and note that there are no more."""
    async with contextlib.aclosing(begun):
        async for page in begun:
            yield page
    progress.all_found = True


def _ready(one: asyncio.Future[PairResult] | PairResult) -> bool:
    return isinstance(one, PairResult) or one.done()


async def _result(waiting: deque[asyncio.Future[PairResult] | PairResult]) -> PairResult:
    one = waiting[0]
    result = one if isinstance(one, PairResult) else await asyncio.shield(one)
    waiting.popleft()
    return result


async def _begun(
    pairs: PairCheck, named: AsyncGenerator[list[NamedPair], None], *, fresh: bool
) -> AsyncGenerator[list[Begun], None]:
    async with contextlib.aclosing(named):
        async for page in named:
            yield [
                one if isinstance(one, PairResult) else functools.partial(pairs.check, one[0].name, one, fresh=fresh)
                for one in page
            ]
