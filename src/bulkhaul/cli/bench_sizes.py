"""Finds the sizes that ``--size like:PLACE`` means: those below a prefix, or in an inventory or another manifest."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from bulkhaul.benchmark.sessions import place_of
from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.reading import read_manifests
from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import Workload
from bulkhaul.policy.naming import printable
from bulkhaul.policy.object_sizes import MOST_BYTES
from bulkhaul.policy.sizes import format_size
from bulkhaul.policy.sizes_seen import SizesSeen

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

LIKE = "like:"


async def with_sizes(engine: AsyncEngine, workload: Workload, out: Lines) -> Workload:
    """Return a workload whose sizes are drawn, also where it names a place that has some.

    What is there and larger than a benchmark's objects counts as the largest of them, which is said.

    Raises:
        UsageError: nothing is there, or its sizes are not told.
        TransferError: it cannot be listed or read.
    """
    if not workload.size.startswith(LIKE):
        return workload
    place, seen = workload.size.removeprefix(LIKE), SizesSeen()
    async with aclosing(_sizes(engine, place)) as sizes:
        async for size_bytes in sizes:
            seen.add(size_bytes)
    if not seen.text():
        raise UsageError("nothing is there, or no sizes are told of it", place)
    if seen.cut:
        largest = format_size(MOST_BYTES)
        text = f"{seen.cut:,} of {seen.count:,} objects are larger than a benchmark's can be; they count as {largest}"
        await out.note(f"{printable(place)}: {text}")
    return msgspec.structs.replace(workload, size=seen.text())


async def _sizes(engine: AsyncEngine, place: str) -> AsyncGenerator[int, None]:
    if place.startswith("s3://") and place.endswith("/"):
        bucket, prefix = place_of(place)
        async with aclosing(engine.control.pages(bucket, prefix)) as pages:
            async for page in pages:
                for head in page:
                    yield head.size
        return
    async with aclosing(read_manifests([place], Opener(engine), on_bad="fail", failed_only=False)) as manifest:
        async for rows in manifest:
            for row in rows:
                if (size_bytes := getattr(row, "size_bytes", None)) is not None:
                    yield size_bytes
