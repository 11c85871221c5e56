"""Does the work of ``bulkhaul bench replay``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhaul.benchmark.extra import OF_RESULTS, require
from bulkhaul.benchmark.replay import replay_of
from bulkhaul.benchmark.replaying import replay
from bulkhaul.cli.bench_files import ResultFiles, folder_of
from bulkhaul.cli.bench_run import Work
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.engine.loop.threads import in_thread

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine


def replay_work(op_log: str, url: str, *, speed: float, concurrency: int, out: str, as_json: bool) -> Work:
    """Return the work of ``bulkhaul bench replay``."""
    folder_name = out or folder_of("replay")

    async def work(engine: AsyncEngine, stdout: Lines) -> int:
        require(*OF_RESULTS)
        files = ResultFiles(folder_name, 1, 1)
        asked = await in_thread(replay_of, Path(op_log), workers=engine.settings.worker_count, speed=speed)
        for what, count in asked.left_out.items():
            stdout.error(f"{count} requests cannot be made again: {what}\n")
        teller = Teller(stdout, as_json=as_json, quiet=False, seconds=asked.seconds)
        try:
            result = await replay(
                engine, url, asked, Path(op_log).name, speed, teller, files.take, concurrency=concurrency
            )
        finally:
            await files.tell(stdout, operation="bench replay", as_json=as_json)
        (run,) = result.runs
        if run.interrupted:
            raise asyncio.CancelledError
        return 1 if run.limit.name == "failures" else 0

    return work
