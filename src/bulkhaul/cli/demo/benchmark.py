"""Carries out ``bulkhaul bench --demo``: a server on this machine, four short benchmarks, and their reports.

server up ─▶ prepare ─▶ get, put, mixed, list ─▶ one report each ─▶ server and objects removed
"""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bulkhaul.benchmark.extra import OF_RESULTS, require
from bulkhaul.benchmark.sessions import clean, prepare
from bulkhaul.cli.bench_files import folder_of
from bulkhaul.cli.bench_run import MIXED, BenchRun
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.cli.demo.demonstration import use_only
from bulkhaul.cli.lines import error_line
from bulkhaul.cli.run_query import ask
from bulkhaul.embedded.seaweed import REGION, Seaweed, find_weed, seaweed
from bulkhaul.model.errors import TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.model.workloads import Operation, Workload

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

BUCKET = "bench-demo"

SIZE, OBJECTS, CONNECTIONS, SECONDS = "64KiB", 500, 16, 7.0
"""What is measured: small enough for a machine with two cores, which the server shares."""

MIXES: dict[str, dict[Operation, float]] = {"get": {"get": 1}, "put": {"put": 1}, "mixed": MIXED, "list": {"list": 1}}

LOOK_S = 0.25


def demonstrate(out: str, seconds: float = SECONDS) -> int:
    """Run the demo, and return the exit code.

    Args:
        out: the folder of the results; empty for one named by the time.
        seconds: for which each kind is measured.
    """
    gc.enable()  # the imports are done
    folder = Path(out or folder_of("demo"))
    try:
        require(*OF_RESULTS)
        find_weed()
        with seaweed() as server:
            use_only(server.credentials)
            settings = Settings(endpoint_url=server.endpoint_url, region=REGION)

            async def work(engine: AsyncEngine, lines: Lines) -> int:
                return await _measured(engine, lines, server, folder, seconds)

            return ask(work, settings, None, operation="bench --demo", as_json=False, workers=None)
    except TransferError as error:
        sys.stderr.write(error_line(error.info))
        return error.exit_code


async def _measured(engine: AsyncEngine, lines: Lines, server: Seaweed, folder: Path, seconds: float) -> int:
    lines.error("starting SeaweedFS on this machine, which it shares with the client\n")
    for _ in server.until_ready():
        await asyncio.sleep(LOOK_S)
    await engine.create_bucket(BUCKET)
    url = f"s3://{BUCKET}/"
    workload = Workload(mix={"get": 1}, size=SIZE, objects=OBJECTS, concurrency=CONNECTIONS, duration_s=seconds)
    teller = Teller(lines, as_json=False, quiet=False)
    record = await prepare(engine, url, workload, teller)
    lines.last_words("")  # nothing is left: the server goes with all that it has
    try:
        for name, mix in MIXES.items():
            lines.error(f"\n{name}\n")
            chosen = Workload(mix=mix, size=SIZE, objects=OBJECTS, concurrency=CONNECTIONS, duration_s=seconds)
            run = BenchRun(
                chosen, [record.url], name, keep=False, out=str(folder / name), op_log=False, metrics=None,
                threshold=None, as_json=False, quiet=False,
            )  # fmt: skip
            await run.work(engine, lines)
    finally:
        await clean(engine, record.url)
    await lines.write(f"\nOpen {folder / 'get' / 'report.html'} in a browser.\n")
    return 0
