"""Carries a benchmark out from its place to its result, and leaves nothing behind that was not prepared for others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.place import Cleaned, clean_place, filled, find_place, left_places, make_place
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import Floors, Result, Run, Window
from bulkhaul.benchmark.running import Benchmark
from bulkhaul.benchmark.spools import require_room
from bulkhaul.benchmark.workload import checked, table_of
from bulkhaul.disk.sinks import held_sink
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import TransferError, UsageError
from bulkhaul.model.workloads import Workload
from bulkhaul.policy.selection import parse_listing


class Listener(Protocol):
    """Is told what a benchmark does; what it raises ends the benchmark."""

    async def began(self, what: str) -> None:
        """A step has begun: ``prepare``, ``probe``, ``find concurrency`` or ``clean``."""

    async def tried(self, connections: int, requests_per_s: float) -> None:
        """A number of connections was tried."""

    async def window(self, number: int, window: Window) -> None:
        """A second of a run is over."""

    async def ended(self, run: Run) -> None:
        """A run is over."""

    async def probed(self, floors: Floors | None, why_not: str) -> None:
        """The floors are known, or why there are none."""

    async def made(self, url: str) -> None:
        """Objects are stored below this URL, and deleted at the end."""

    async def kept(self, url: str) -> None:
        """Objects are stored below this URL, and stay there."""

    async def cleans_on(self) -> None:
        """It was interrupted while it deletes what it stored, and goes on with that."""

    async def cleaned(self, cleaned: Cleaned, url: str) -> None:
        """What the benchmark stored below this URL was deleted, all but what is named."""

    async def left(self, url: str, error: TransferError) -> None:
        """What the benchmark stored below this URL could not be deleted, or not all of it."""


OnResult = Callable[[int, Result], Awaitable[None]]
"""Is told what was measured at a place, by its number, as soon as a run there is over: all runs until then."""


async def clean_up(engine: AsyncEngine, record: Record, listener: Listener, *, settled: bool = True) -> None:
    """Delete what a benchmark has stored; an interruption meanwhile takes effect when that is done.

    A failure is told. Where something else has ended the benchmark, that stays what ended it.

    Args:
        settled: as of ``clean_place``.

    Raises:
        TransferError: a listing, or a whole batch of deletions, failed; ``clean`` goes on with it.
        CancelledError: it was interrupted.
    """
    ended_by = sys.exception()  # of the caller, who cleans up because of it
    await listener.began("clean")
    cleaning = asyncio.create_task(clean_place(engine, record, settled=settled))
    interrupted = False
    while not cleaning.done():
        try:
            await asyncio.wait({cleaning})
        except asyncio.CancelledError:
            interrupted = True
            await listener.cleans_on()
    try:
        cleaned = await cleaning
    except TransferError as error:
        await listener.left(record.url, error)
        if ended_by is None:
            raise
    else:
        await listener.cleaned(cleaned, record.url)
    if interrupted:
        raise asyncio.CancelledError


def place_of(url: str) -> tuple[str, str]:
    """Return the bucket and the prefix of a URL, which ends in a slash or is empty.

    Raises:
        UsageError: it is no URL of S3, or holds a wildcard.
    """
    source = parse_listing(url)
    if source.pattern:
        raise UsageError("a benchmark needs one prefix, without wildcards", url)
    prefix = source.prefix
    return source.bucket, prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


async def prepare(engine: AsyncEngine, url: str, workload: Workload, listener: Listener) -> Record:
    """Make objects below ``url`` that several benchmarks use; ``clean`` deletes them.

    Raises:
        UsageError: the workload makes no sense, or a package is missing.
        TransferError: they could not be made; what was made is deleted again, or ``clean`` finds it.
    """
    require("hdrh")
    workload = checked(workload)
    require_room()
    bucket, prefix = place_of(url)
    record = await make_place(engine, bucket, prefix, table_of(workload), workload.size, prepared=True)
    await listener.made(record.url)
    benchmark = Benchmark(engine, record, workload)
    try:
        await listener.began("prepare")
        await benchmark.fill()
        await filled(engine, record)
    except BaseException:
        await clean_up(engine, record, listener, settled=benchmark.settled)
        raise
    return record


async def measure(
    engine: AsyncEngine,
    urls: Sequence[str],
    workload: Workload,
    name: str,
    listener: Listener,
    on_result: OnResult,
    *,
    keep: bool = False,
    op_logs: Sequence[Path] = (),
) -> list[Result]:
    """Measure below each URL: objects that were prepared there, or such as are made now and deleted at the end.

    Several places are measured in turns, each repeat of all of them before the next one, so that what changes with time
    meets all of them alike. An interrupted run is the last one; what it brought until then is in its result.

    Args:
        on_result: is told each run before the next one begins, so that what fails later takes nothing of it away.
        keep: leave the objects there.
        op_logs: folders in which every request is written, one for each URL; empty for none.

    Raises:
        UsageError: the workload or a URL makes no sense, or a package is missing.
        TransferError: nothing succeeded, bodies cannot be written, or the service refused what a benchmark needs.
    """
    require("hdrh")
    workload = checked(workload)
    require_room()
    for url in urls:
        place_of(url)  # before anything is stored at the first one
    async with AsyncExitStack() as places:
        places.enter_context(held_sink(workload.folder))
        benchmarks = [await _begun(engine, url, workload, listener, places, keep=keep) for url in urls]
        for benchmark in benchmarks:
            if not benchmark.concurrency:
                benchmark.concurrency = benchmarks[0].concurrency  # compared are stores, not numbers of connections
            if not benchmark.concurrency:
                await listener.began("find concurrency")
                await benchmark.find_concurrency(listener.tried)
        runs: list[list[Run]] = [[] for _ in urls]

        async def ended(place: int, run: Run) -> None:
            runs[place].append(run)
            await on_result(place, benchmarks[place].result(runs[place], name))
            await listener.ended(run)

        for number in range(1, workload.repeat + 1):
            for place, benchmark in enumerate(benchmarks):
                op_log = op_logs[place] / f"ops-{number}.csv.zst" if op_logs else None
                run = await benchmark.run(number, listener.window, partial(ended, place), op_log)
                if run.interrupted:
                    return _results(benchmarks, runs, name)
        return _results(benchmarks, runs, name)


def _results(benchmarks: Sequence[Benchmark], runs: Sequence[Sequence[Run]], name: str) -> list[Result]:
    return [benchmark.result(of_place, name) for benchmark, of_place in zip(benchmarks, runs, strict=True)]


async def _begun(
    engine: AsyncEngine, url: str, workload: Workload, listener: Listener, places: AsyncExitStack, *, keep: bool
) -> Benchmark:
    """Return a benchmark whose objects are there, and whose floors are known; it is cleaned with ``places``."""
    bucket, prefix = place_of(url)
    found = await find_place(engine, bucket, prefix)
    record = found or await make_place(engine, bucket, prefix, table_of(workload), workload.size, prepared=keep)
    if found is None:
        await (listener.kept if keep else listener.made)(record.url)
    benchmark = Benchmark(engine, record, workload if found is None else _fitting(workload, found))
    if not record.prepared:

        async def deleted() -> None:
            await clean_up(engine, record, listener, settled=benchmark.settled)

        places.push_async_callback(deleted)
    if found is not None:
        await benchmark.restore()
    else:
        await listener.began("prepare")
        await benchmark.fill()
        if record.prepared:
            await filled(engine, record)
    await listener.began("probe")
    await benchmark.probe()
    await listener.probed(benchmark.floors, benchmark.no_floors)
    return benchmark


async def clean(engine: AsyncEngine, url: str, *, all_of_them: bool = False) -> list[tuple[Record, Cleaned]]:
    """Delete what benchmarks that died here have left below ``url``, or all of the one whose prefix it is.

    Args:
        all_of_them: also what other machines have left, and what was prepared.

    Raises:
        TransferError: a listing or a batch of deletions failed.
    """
    bucket, prefix = place_of(url)
    records = await left_places(engine, bucket, prefix, all_of_them=all_of_them)
    return [(record, await clean_place(engine, record, killed=True)) for record in records]


def _fitting(workload: Workload, record: Record) -> Workload:
    """Return a workload with the objects that were prepared, which it cannot choose any more."""
    table = record.table
    return msgspec.structs.replace(
        workload, size=record.size, objects=table.objects, prefixes=table.prefixes, seed=table.seed
    )
