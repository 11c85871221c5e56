"""Runs a benchmark: fills its objects, finds how many connections suit, and measures as often as it is asked to.

fill ─▶ floors ─▶ concurrency ─▶ run 1 … run n ─▶ Result
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bulkhaul import __version__
from bulkhaul.benchmark.counting import count
from bulkhaul.benchmark.extra import require
from bulkhaul.benchmark.filling import fill
from bulkhaul.benchmark.floors import probe
from bulkhaul.benchmark.loading import Asked, Loaded, Loader
from bulkhaul.benchmark.machine import kind_of, machine
from bulkhaul.benchmark.place import put_right
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import FORMAT, Floors, Result, Run, Steady, Window
from bulkhaul.benchmark.run_of import run_of, write_op_log
from bulkhaul.benchmark.workload import checked, drains, needs_objects, range_bytes, weights_of
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.load_run import Work
from bulkhaul.model.workloads import Workload
from bulkhaul.policy.connections import Climb

FILL_CONNECTIONS = 32
"""Connections that prepare objects, where no number is given."""

OPEN_CONNECTIONS = 1024
"""Connections at most of an open loop, where no number is given: a slow service is not to be spared by their lack."""

CLIMB_S = 2.0
"""How long each number of connections is tried."""

OnWindow = Callable[[int, Window], Awaitable[None]]
"""Is told each second of a run: the number of the run, and the window."""

OnRun = Callable[[Run], Awaitable[None]]
"""Is told a run as soon as it is counted."""


class Benchmark:
    """A benchmark of one prefix, step by step.

    Attributes:
        concurrency: requests in flight at most; 0 until that is found.
        settled: no request that changes anything was broken off, which the service may carry out later.
        floors: what endpoint and disk give at best; None before they are probed, or where ``no_floors`` says why.
    """

    def __init__(self, engine: AsyncEngine, record: Record, workload: Workload) -> None:
        """Take an engine, where the objects are, and what is to be done.

        Raises:
            UsageError: the workload makes no sense, or a package is missing.
        """
        require("hdrh")
        self._workload = checked(workload)
        self.concurrency = workload.concurrency or (OPEN_CONNECTIONS if workload.rate else 0)
        self.settled = True
        self._engine = engine
        self._record = record
        most = min(record.table.objects, self.concurrency or record.table.objects)
        self._loader = Loader(engine, record, max(1, min(engine.settings.worker_count, most)))
        self._everything: tuple[tuple[int, ...] | None, ...] = (None,) * self._loader.workers
        self._puts = [0] * self._loader.workers
        self.floors: Floors | None = None
        self.no_floors = ""

    async def fill(self) -> None:
        """Store the objects that the benchmark needs.

        Raises:
            OtherError: some could not be stored.
        """
        if needs_objects(self._workload):
            await self._fill(self._everything)

    async def restore(self) -> None:
        """Have a prepared prefix as it was prepared: an earlier run may have been ended in the middle.

        Raises:
            OtherError: some objects could not be stored, or some that are too many could not be deleted.
        """
        missing = await put_right(self._engine, self._record)
        if missing:
            workers = self._loader.workers
            await self._fill(tuple(tuple(missing[worker::workers]) for worker in range(workers)))

    async def _fill(self, shares: tuple[tuple[int, ...] | None, ...]) -> None:
        lanes = max(self.concurrency if self.concurrency < OPEN_CONNECTIONS else 0, FILL_CONNECTIONS)
        await fill(self._load, self._asked("fill", lanes, shares=shares), self._record)

    async def probe(self) -> None:
        """Find out what endpoint and disk give at best, where an object is there to ask for."""
        found: Floors | str = "no object is prepared"
        if needs_objects(self._workload):
            found = await probe(self._engine, self._record, self._workload.folder)
        self.floors, self.no_floors = (None, found) if isinstance(found, str) else (found, "")

    async def find_concurrency(self, tell: Callable[[int, float], Awaitable[None]] | None = None) -> None:
        """Try more and more connections until more of them bring no more requests a second.

        Args:
            tell: called with each number that was tried, and the requests a second that it brought.
        """
        if self.concurrency or drains(self._workload):
            self.concurrency = self.concurrency or FILL_CONNECTIONS
            return
        climb = Climb()
        while (lanes := climb.next()) is not None:
            async with self._load(self._measuring(lanes, CLIMB_S)) as loaded:
                loaded.require_whole()
                rate = loaded.tally.done / loaded.seconds
                await self._replenish(loaded)
            climb.saw(lanes, rate)
            if tell is not None:
                await tell(lanes, rate)
        self.concurrency = climb.best

    async def rate(self, seconds: float) -> float:
        """Return the bytes a second that a short load brings.

        A body may take as long as the load, so the rate is that of a busy connection, times their number: at the end
        of a load some have nothing to do any more.
        """
        async with self._load(self._measuring(self.concurrency, seconds)) as loaded:
            loaded.require_whole()
            counts = count(loaded.spools, loaded.begins_ns, Steady(0.0, loaded.seconds, reached=False))
        busy_s = sum(one.busy_s for one in counts.connections)
        return len(counts.connections) * counts.moved_bytes / busy_s if busy_s else 0.0

    async def run(
        self,
        number: int,
        on_window: OnWindow | None = None,
        on_run: OnRun | None = None,
        op_log: Path | None = None,
    ) -> Run:
        """Measure once.

        Args:
            on_run: is told what was measured before anything else can fail, also of a run that failed in the middle.
            op_log: where every request is written, as warp does.

        Raises:
            TransferError: nothing succeeded, a worker died, a disk is full, or the op-log cannot be written.
            CancelledError: it was interrupted before anything succeeded; afterwards the run says so.
        """

        async def tell(window: Window) -> None:
            if on_window is not None:
                await on_window(number, window)

        async with self._load(self._measuring(self.concurrency, self._workload.duration_s), tell) as loaded:
            if not loaded.tally.done:
                loaded.require_whole()
            run = run_of(loaded, number, concurrency=self.concurrency, floors=self.floors, rate=self._workload.rate)
            if on_run is not None:
                await on_run(run)
            if op_log is not None:
                writing = in_thread(write_op_log, loaded, self._record, op_log, lanes=self.concurrency)
                await undisturbed(writing)  # it reads the spools
            if loaded.error is not None:
                raise loaded.error
            if not loaded.interrupted:
                await self._replenish(loaded)
        return run

    def result(self, runs: Sequence[Run], name: str) -> Result:
        """Return what was measured."""
        settings = self._engine.settings
        return Result(
            format=FORMAT,
            version=__version__,
            name=name,
            endpoint=self._record.endpoint,
            url=self._record.url,
            open_loop=self._workload.rate > 0,
            workload=msgspec.structs.replace(self._workload, folder=kind_of(self._workload.folder)),
            settings={
                "workers": str(self._loader.workers),
                "concurrency": str(self.concurrency),
                "transport": settings.transport,
                "region": settings.region or "",
            },
            machine=machine(),
            floors=self.floors,
            runs=tuple(runs),
            no_floors=self.no_floors,
        )

    # One load

    @asynccontextmanager
    async def _load(
        self, asked: Asked, on_window: Callable[[Window], Awaitable[None]] | None = None
    ) -> AsyncGenerator[Loaded, None]:
        """Put a load on the service, and note whether all requests that change anything have ended."""
        self.settled = not asked.changes  # until it has ended well
        async with self._loader.load(asked, on_window) as loaded:
            self.settled = self.settled or not loaded.interrupted
            yield loaded

    def _measuring(self, lanes: int, duration_s: float) -> Asked:
        if drains(self._workload):
            return self._asked("drain", lanes)
        return self._asked("mix", lanes, duration_s=duration_s)

    def _asked(
        self,
        work: Work,
        lanes: int,
        *,
        duration_s: float = 0.0,
        shares: tuple[tuple[int, ...] | None, ...] | None = None,
    ) -> Asked:
        workload = self._workload
        return Asked(
            work=work,
            lanes=lanes,
            weights=weights_of(workload),
            duration_s=duration_s,
            rate=workload.rate,
            order=workload.order,
            range_bytes=range_bytes(workload),
            compressible=workload.compressible,
            seed=workload.seed,
            folder=workload.folder if work == "mix" else "",  # nothing else reads bodies
            shares=self._everything if shares is None else shares,
            puts=tuple(self._puts),
        )

    async def _replenish(self, loaded: Loaded) -> None:
        """Store again what a load has deleted: the next one is to find the same."""
        self._puts = [ended.puts for ended in loaded.ended]
        if any(ended.gone for ended in loaded.ended):
            await self._fill(tuple(ended.gone for ended in loaded.ended))
