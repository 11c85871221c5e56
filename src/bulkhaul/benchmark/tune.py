"""Finds the settings with which an engine moves most from and to a store, and writes them as a profile.

small objects ─▶ as many connections as bring more      large objects ─▶ the same, then the length of ranges
"""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.place import make_place
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.running import Benchmark
from bulkhaul.benchmark.sessions import Listener, clean_up, place_of
from bulkhaul.benchmark.spools import require_room
from bulkhaul.benchmark.workload import table_of
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.workloads import Workload
from bulkhaul.policy.awsfiles import Unsure, read_files
from bulkhaul.policy.sizes import format_size

SMALL = Workload(mix={"get": 1}, size="64KiB", objects=500)
"""Objects that a request fetches whole: what counts is how many of them are under way."""

LARGE = Workload(mix={"get": 1}, size="64MiB", objects=4, range="8MiB")
"""Objects that are fetched in ranges."""

RANGES = (5 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB)
"""Lengths that are tried. S3 takes no uploaded part shorter than the first."""

ROUNDS = 3
"""Each length is tried so often, in turns, so that a slow moment of the store meets all of them."""

TRY_S = 2.0

ENOUGH = 0.97
"""The shortest range that brings this share of the best is chosen: what fails is asked again, and memory is held."""

T = TypeVar("T")


class Tried(msgspec.Struct, frozen=True):
    """A setting, and what it brought.

    Attributes:
        what: ``small``, ``large`` or ``range``.
        value: connections, or bytes.
        rate: requests or bytes a second.
    """

    what: str
    value: int
    rate: float


class Tuning(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        tried: everything that was measured.
    """

    endpoint: str
    region: str
    concurrency: int
    part_size_bytes: int
    tried: tuple[Tried, ...]


async def tune(engine: AsyncEngine, url: str, listener: Listener, tell: Callable[[Tried], Awaitable[None]]) -> Tuning:
    """Measure below ``url`` with small and large objects, which are deleted at the end.

    Raises:
        TransferError: nothing succeeded, or the service refused.
    """
    require("hdrh")
    require_room()
    bucket, prefix = place_of(url)
    tried: list[Tried] = []

    async def note(one: Tried) -> None:
        tried.append(one)
        await tell(one)

    async def of_small(record: Record) -> int:
        return await _connections(engine, record, SMALL, "small", note)

    async def of_large(record: Record) -> tuple[int, int]:
        concurrency = await _connections(engine, record, LARGE, "large", note)
        return concurrency, await _range(engine, record, concurrency, note)

    small = await _with_objects(engine, bucket, prefix, SMALL, listener, of_small)
    large, part_size_bytes = await _with_objects(engine, bucket, prefix, LARGE, listener, of_large)
    target = await engine.control.target(bucket)
    return Tuning(target.endpoint, target.region, max(small, large), part_size_bytes, tuple(tried))


def heading_of(name: str) -> str:
    """Return the heading of a profile in the AWS configuration file.

    Raises:
        UsageError: no profile can have this name.

    >>> [heading_of(name) for name in ("store", "my store", "default")]
    ['[profile store]', "[profile 'my store']", '[default]']

    Source: botocore.configloader.build_profile_map: the second word of a heading, or ``default`` alone.
    """
    heading = "[default]" if name == "default" else f"[profile {shlex.quote(name)}]"
    try:
        read = read_files(f"{heading}\n", None).configured
    except Unsure:
        read = {}
    if not name or list(read) != [name]:
        raise UsageError("no profile can have this name; choose another one with --as", name)
    return heading


def profile(tuning: Tuning, name: str) -> str:
    """Return a profile of the AWS configuration file, as the commands of bulkhaul and aws obey it.

    Raises:
        UsageError: no profile can have this name.
    """
    lines = [
        heading_of(name),
        f"endpoint_url = {tuning.endpoint}",
        *([f"region = {tuning.region}"] if tuning.region else []),
        "s3 =",
        f"  max_concurrent_requests = {tuning.concurrency}",
        f"  multipart_chunksize = {tuning.part_size_bytes // KIB}KB",
    ]
    return "\n".join(lines) + "\n"


def tried_line(tried: Tried) -> str:
    """Return what was tried, for people."""
    if tried.what == "range":
        return f"  ranges of {format_size(tried.value)}: {format_size(tried.rate)}/s\n"
    return f"  {tried.what} objects, {tried.value} connections: {tried.rate:,.0f} requests/s\n"


async def _with_objects(
    engine: AsyncEngine,
    bucket: str,
    prefix: str,
    workload: Workload,
    listener: Listener,
    measure: Callable[[Record], Awaitable[T]],
) -> T:
    """Return what is measured of objects that are there only meanwhile."""
    record = await make_place(engine, bucket, prefix, table_of(workload), workload.size, prepared=False)
    await listener.made(record.url)
    benchmark = Benchmark(engine, record, workload)
    try:
        await listener.began("prepare")
        await benchmark.fill()
        await listener.began("find concurrency")
        return await measure(record)
    finally:
        await clean_up(engine, record, listener, settled=benchmark.settled)  # what is measured only reads


async def _connections(
    engine: AsyncEngine, record: Record, workload: Workload, what: str, note: Callable[[Tried], Awaitable[None]]
) -> int:
    benchmark = Benchmark(engine, record, workload)
    await benchmark.find_concurrency(lambda lanes, rate: note(Tried(what, lanes, rate)))
    return benchmark.concurrency


async def _range(
    engine: AsyncEngine, record: Record, concurrency: int, note: Callable[[Tried], Awaitable[None]]
) -> int:
    rates: dict[int, list[float]] = {length: [] for length in RANGES}
    for _ in range(ROUNDS):
        for length in RANGES:
            workload = msgspec.structs.replace(LARGE, range=str(length), concurrency=concurrency)
            rate = await Benchmark(engine, record, workload).rate(TRY_S)
            rates[length].append(rate)
            await note(Tried("range", length, rate))
    medians = {length: statistics.median(of) for length, of in rates.items()}
    return min(length for length, rate in medians.items() if rate >= ENOUGH * max(medians.values()))
