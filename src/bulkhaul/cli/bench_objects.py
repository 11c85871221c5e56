"""Does the work of ``bulkhaul bench prepare`` and ``clean``: objects that outlast a run are made, and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bulkhaul.benchmark.place import Cleaned
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.sessions import clean, prepare
from bulkhaul.cli import bench_lines as lines
from bulkhaul.cli.bench_run import Work
from bulkhaul.cli.bench_sizes import with_sizes
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.cli.lines import json_text
from bulkhaul.model.workloads import Workload

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine


def prepare_work(url: str, workload: Workload, *, as_json: bool) -> Work:
    """Return the work of ``bulkhaul bench prepare``."""

    async def work(engine: AsyncEngine, out: Lines) -> int:
        teller = Teller(out, as_json=as_json, quiet=as_json)
        record = await prepare(engine, url, await with_sizes(engine, workload, out), teller)
        fields = {"operation": "bench prepare", "prefix": record.url, "objects": record.table.objects}
        await out.write(json_text("summary", fields) if as_json else f"{record.url}\n")
        return 0

    return work


def clean_work(url: str, *, all_of_them: bool, as_json: bool) -> Work:
    """Return the work of ``bulkhaul bench clean``."""

    async def work(engine: AsyncEngine, out: Lines) -> int:
        found: list[tuple[Record, Cleaned]] = await clean(engine, url, all_of_them=all_of_them)
        for record, cleaned in found:
            fields = {"operation": "bench clean", **lines.cleaned_fields(cleaned, record.url)}
            await out.write(json_text("summary", fields) if as_json else lines.cleaned_lines(cleaned, record.url))
        if not found:
            fields = {"operation": "bench clean", **lines.cleaned_fields(Cleaned(), url)}
            nothing = f"{url}: no benchmark has left anything here\n"
            await out.write(json_text("summary", fields) if as_json else nothing)
        return 1 if any(cleaned.failed_count for _, cleaned in found) else 0

    return work
