"""Runs a workload of aws-crt-s3-benchmarks, and prints its lines: ``Run:1 Secs:… Gb/s:…``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhaul.benchmark.crt_runs import Ends, crt_runs
from bulkhaul.benchmark.place import make_place
from bulkhaul.benchmark.sessions import clean_up, place_of
from bulkhaul.benchmark.workload_files import CrtTask, crt_line, read_crt_workload
from bulkhaul.cli.bench_run import Work
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.cli.lines import json_text
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.limits import MIB
from bulkhaul.model.workloads import FixedSize, ObjectTable

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine


def crt_work(url: str, file: str, folder: str, *, as_json: bool) -> Work:
    """Return the work of ``bulkhaul bench run`` with a ``.run.json``.

    Objects that are downloaded must be below ``url``. Uploads go below a prefix of the benchmark's own, deleted
    at the end.

    Args:
        folder: of the files, which must be there to be uploaded; empty for one that is made, with files of noise.
    """

    async def work(engine: AsyncEngine, out: Lines) -> int:
        workload = read_crt_workload(Path(file))
        bucket, prefix = place_of(url)
        uploads = [task for task in workload.tasks if task.action == "upload"]
        async with contextlib.AsyncExitStack() as stack:
            made_prefix = prefix
            if uploads:
                made_prefix = await stack.enter_async_context(_made_prefix(engine, out, bucket, prefix, uploads))
            files = Path(folder)
            if not folder:
                files = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bulkhaul-bench-")))
                if workload.files_on_disk:
                    await asyncio.to_thread(_make_files, files, uploads)
            runs = await stack.enter_async_context(
                aclosing(crt_runs(engine, workload, Ends(bucket, prefix, made_prefix, files)))
            )
            async for run in runs:
                fields = {"run": run.number, "seconds": run.seconds, "moved_bytes": run.moved_bytes}
                line = crt_line(run.number, run.seconds, run.moved_bytes)
                await out.write(json_text("run", fields) if as_json else f"{line}\n")
        return 0

    return work


@contextlib.asynccontextmanager
async def _made_prefix(
    engine: AsyncEngine, out: Lines, bucket: str, prefix: str, uploads: Iterable[CrtTask]
) -> AsyncGenerator[str, None]:
    """Make a prefix for uploads, and delete them at the end."""
    most_bytes = max(task.size for task in uploads)
    table = ObjectTable(1, FixedSize(most_bytes))
    names = [task.key for task in uploads]
    record = await make_place(engine, bucket, prefix, table, str(most_bytes), prepared=False, names=names)
    teller = Teller(out, as_json=False, quiet=True)
    await teller.made(record.url)
    settled = False  # until all requests have ended
    try:
        yield record.prefix
        settled = True
    finally:
        await clean_up(engine, record, teller, settled=settled)


def _make_files(folder: Path, uploads: Iterable[CrtTask]) -> None:
    """Make the files of uploads, of noise.

    Raises:
        LocalError: the disk refuses.
    """
    noise = os.urandom(MIB)
    for task in uploads:
        path = folder / task.key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for start in range(0, task.size, MIB):
                    file.write(noise[: min(MIB, task.size - start)])
        except OSError as error:
            raise local_error(error, str(path)) from error
