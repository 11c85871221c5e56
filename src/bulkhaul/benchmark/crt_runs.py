"""Carries out the workloads of aws-crt-s3-benchmarks, run by run, with the transfers that callers use, not with a load.

Nothing that was there is touched: downloads go into a new folder, which goes after each run, and uploads below a prefix
that the caller made. What is prepared or removed is in no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bulkhaul.benchmark.workload_files import CrtTask, CrtWorkload
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row

PAGE = 1000
"""Tasks that the engine is told of at once."""

IN_MEMORY_AT_ONCE = 64
"""Transfers from and to memory side by side; the engine decides how many requests these are."""


class CrtRun(NamedTuple):
    """One run: its number from 1, and what it moved in which time."""

    number: int
    seconds: float
    moved_bytes: int


class Ends(NamedTuple):
    """Where the objects of a workload are, and its files.

    Attributes:
        prefix: stands before the keys of downloads.
        made_prefix: stands before those of uploads: one that nobody else writes below.
        folder: of files to upload, by the keys of their tasks; downloads go into a new one within it.
    """

    bucket: str
    prefix: str
    made_prefix: str
    folder: Path


async def crt_runs(engine: AsyncEngine, workload: CrtWorkload, ends: Ends) -> AsyncGenerator[CrtRun, None]:
    """Yield each run when it is over, until there were enough, or they took long enough.

    Raises:
        UsageError: the engine's uploads have another checksum than the workload asks for, or an object or a file has
            another size.
        TransferError: a transfer failed; the first one that did.
    """
    _require_checksum(engine, workload)
    noise = memoryview(b"")
    if not workload.files_on_disk:
        noise = memoryview(os.urandom(max((one.size for one in workload.tasks if one.action == "upload"), default=0)))
    began_s = time.monotonic()
    for number in range(1, workload.max_repeat_count + 1):
        target = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="bulkhaul-bench-", dir=ends.folder))
        try:
            run_began_s = time.monotonic()
            if workload.files_on_disk:
                await _with_files(engine, workload.tasks, ends, target)
            else:
                await _in_memory(engine, workload.tasks, ends, noise)
            seconds = time.monotonic() - run_began_s
        finally:
            await asyncio.to_thread(shutil.rmtree, target)
        yield CrtRun(number, seconds, workload.bytes_per_run)
        if time.monotonic() - began_s >= workload.max_repeat_secs:
            return


def _require_checksum(engine: AsyncEngine, workload: CrtWorkload) -> None:
    chosen = engine.settings.checksum_algorithm
    uploads = any(task.action == "upload" for task in workload.tasks)
    if workload.checksum is not None and uploads and chosen != workload.checksum:
        text = f"the workload asks for uploads with {workload.checksum}, not {chosen}"
        raise UsageError(f"{text}; choose it with --checksum-algorithm {workload.checksum}")


async def _with_files(engine: AsyncEngine, tasks: Sequence[CrtTask], ends: Ends, target: Path) -> None:
    """Transfer all tasks at once, from files and to files."""
    downloads = [task for task in tasks if task.action == "download"]
    uploads = [task for task in tasks if task.action == "upload"]

    def down(task: CrtTask) -> tuple[str, str]:
        return _ref(ends, task).url, str(target / task.key)

    def up(task: CrtTask) -> tuple[str, str]:
        return str(ends.folder / task.key), _ref(ends, task).url

    work = []
    if downloads:
        rows = _pages(Action.DOWNLOAD, [down(task) for task in downloads])
        work.append(_watch(engine.download_rows(rows, target), downloads))
    if uploads:
        rows = _pages(Action.UPLOAD, [up(task) for task in uploads])
        work.append(_watch(engine.upload_rows(rows), uploads))
    await _together(work)


def _pages(action: Action, ways: Sequence[tuple[str, str]]) -> Iterator[list[Row]]:
    rows = [Row(n=n, action=action, source=source, destination=to) for n, (source, to) in enumerate(ways)]
    for start in range(0, len(rows), PAGE):
        yield rows[start : start + PAGE]


async def _watch(results: AsyncGenerator[TransferResult, None], tasks: Sequence[CrtTask]) -> None:
    async with contextlib.aclosing(results):
        async for result in results:
            _require_done(result, tasks[result.row])


async def _in_memory(engine: AsyncEngine, tasks: Sequence[CrtTask], ends: Ends, noise: memoryview) -> None:
    """Transfer all tasks, some at once, from memory and to nowhere."""
    left = iter(tasks)

    async def serve() -> None:
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            for task in left:
                ref = _ref(ends, task)
                if task.action == "upload":
                    _require_done(await engine.upload_bytes(noise[: task.size], ref), task)
                else:
                    _require_done(await engine.download_stream(ref, sink), task)
        finally:
            os.close(sink)

    await _together([serve() for _ in range(min(IN_MEMORY_AT_ONCE, len(tasks)))])


async def _together(work: Sequence[Coroutine[None, None, None]]) -> None:
    """Do all side by side.

    Raises:
        TransferError: one failed; the others were cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None


def _ref(ends: Ends, task: CrtTask) -> ObjectRef:
    return ObjectRef(ends.bucket, (ends.made_prefix if task.action == "upload" else ends.prefix) + task.key)


def _require_done(result: TransferResult, task: CrtTask) -> None:
    """Make sure that a transfer moved what its task says.

    Raises:
        TransferError: it failed.
        UsageError: it had another size.
    """
    if result.error is not None:
        raise result.error
    if result.size != task.size:
        raise UsageError(f"it has {result.size} bytes, where the workload says {task.size}", result.source)


__all__ = ["CrtRun", "Ends", "crt_runs"]
