"""Does the work of ``bulkhaul bench run``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bulkhaul.benchmark.compare import compare
from bulkhaul.benchmark.compare_lines import lines as comparison_lines
from bulkhaul.benchmark.extra import OF_RESULTS, require
from bulkhaul.benchmark.metrics import Metrics
from bulkhaul.benchmark.results import Result
from bulkhaul.benchmark.sessions import measure
from bulkhaul.benchmark.workload import drains
from bulkhaul.cli import bench_lines as lines
from bulkhaul.cli.bench_files import ResultFiles, folder_of
from bulkhaul.cli.bench_sizes import with_sizes
from bulkhaul.cli.bench_teller import Teller
from bulkhaul.model.workloads import Operation, Workload

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

NEVER_STEADY = 3
"""Exit code of a benchmark that measured, but not in a steady state."""

MIXED: dict[Operation, float] = {"get": 45.0, "stat": 30.0, "put": 15.0, "delete": 10.0}
"""The mix of ``mixed``, where none is given. Source: warp's default."""

Work = Callable[["AsyncEngine", "Lines"], Coroutine[Any, Any, int]]


def taken_workload(kind: str, file: str | None, fields: Mapping[str, Any], chosen: set[str]) -> Workload:
    """Return the workload of a command line.

    Args:
        file: says what the fields do not; then only those count that were ``chosen``.

    Raises:
        UsageError: the file cannot be read, or makes no sense.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if file is not None:
        from bulkhaul.benchmark.workload_files import read_workload

        return msgspec.structs.replace(
            read_workload(Path(file)), **{name: value for name, value in given.items() if name in chosen}
        )
    if kind != "mixed":
        given["mix"] = {kind: 1.0}
    return Workload(**{"mix": MIXED, **given})


def workload_name(file: str) -> str:
    """Return what a benchmark of a workload file is called."""
    return Path(file).name.split(".")[0]


class BenchRun:
    """One ``bulkhaul bench run``."""

    def __init__(
        self,
        workload: Workload,
        urls: Sequence[str],
        name: str,
        *,
        keep: bool,
        out: str,
        op_log: bool,
        metrics: int | None,
        threshold: float | None,
        as_json: bool,
        quiet: bool,
    ) -> None:
        self._workload = workload
        self._urls = urls
        self._name = name
        self._keep = keep
        self._out = out or folder_of(name)
        self._op_log = op_log
        self._metrics = metrics
        self._threshold = threshold
        self._as_json = as_json
        self._quiet = quiet

    async def work(self, engine: AsyncEngine, out: Lines) -> int:
        """Measure, write the result, and return the exit code.

        Raises:
            CancelledError: it was interrupted; what was measured by then is written.
        """
        require(*OF_RESULTS, *(("zstandard",) if self._op_log else ()))
        files = ResultFiles(self._out, len(self._urls), self._workload.repeat)
        metrics = None if self._metrics is None else Metrics(self._metrics)
        teller = Teller(
            out,
            as_json=self._as_json,
            quiet=self._quiet,
            repeat=self._workload.repeat,
            seconds=0.0 if drains(self._workload) else self._workload.duration_s,
            metrics=metrics,
        )
        workload = await with_sizes(engine, self._workload, out)
        op_logs = files.folders if self._op_log else ()
        try:
            results = await measure(
                engine, self._urls, workload, self._name, teller, files.take, keep=self._keep, op_logs=op_logs
            )
            runs = [run for result in results for run in result.runs]
            if any(run.interrupted for run in runs):
                raise asyncio.CancelledError
            regression = len(results) > 1 and await self._compared(results, files.folders, out)
        finally:  # the summaries are the last lines
            await files.tell(out, operation="bench run", as_json=self._as_json)
        if regression or any(run.limit.name == "failures" for run in runs):
            return 1
        return 0 if all(run.steady.reached for run in runs) else NEVER_STEADY

    async def _compared(self, results: Sequence[Result], folders: Sequence[Path], out: Lines) -> bool:
        """Tell in what the other places differ from the first one, and return whether one is worse by too much."""
        names = [f"{folder} ({url})" for folder, url in zip(folders, self._urls, strict=True)]
        # What was prepared there may differ in size: that is told.
        comparison = compare(results, names, threshold=self._threshold, forced=True)
        if self._as_json:
            await out.write("".join(map(lines.comparison_json, comparison.pairs)))
        else:
            await out.write("\n" + "\n".join(comparison_lines(comparison)) + "\n")
        return comparison.regression
