"""Puts a load on a service by an engine's workers, and tells second by second what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from bulkhaul.benchmark.machine import busy_cpu_s
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import Window
from bulkhaul.benchmark.spools import Spool, require_room, spool_folder
from bulkhaul.benchmark.tally import Tally
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.messages.load_run import SCHEDULED, LoadRun, LoadRunEnded, Meter, Work
from bulkhaul.model.errors import OtherError, TransferError
from bulkhaul.model.workloads import OPERATIONS, Order
from bulkhaul.wire.values import Target

LOOK_S = 0.25
"""How often spools are read."""

AHEAD_S = 0.3
"""Between telling the workers and their common beginning: they need some of it to take the load."""

GONE_S = 5.0
"""How long workers that were killed are waited for."""

HOPELESS_S = 3.0
"""A load of which nothing succeeds for so long is ended: a wrong key or a missing bucket does not get better."""

OnWindow = Callable[[Window], Awaitable[None]]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a load is to do; the fields are those of ``LoadRun``, for all workers together.

    Attributes:
        shares: places for each worker, or None for all.
        schedules: encoded, for each worker of a replay.
        puts: number of the next PUT, for each worker.
    """

    work: Work
    lanes: int
    weights: tuple[float, ...] = (0, 0, 0, 0, 0)
    duration_s: float = 0.0
    rate: float = 0.0
    order: Order = "random"
    range_bytes: int = 0
    compressible: float = 1.0
    seed: int = 0
    folder: str = ""
    shares: tuple[tuple[int, ...] | None, ...]
    schedules: tuple[bytes, ...] = ()
    puts: tuple[int, ...]

    @property
    def changes(self) -> bool:
        """Whether it may store something, or delete: where versions are kept, that leaves a marker."""
        if self.work == "replay":
            made = (operation for rows in self.schedules for _, _, operation, _ in SCHEDULED.iter_unpack(rows))
            return any(OPERATIONS[operation] in ("put", "delete") for operation in made)
        weights = dict(zip(OPERATIONS, self.weights, strict=True))
        return self.work != "mix" or weights["put"] + weights["delete"] > 0


class Loaded(msgspec.Struct):
    """A load that is over.

    Attributes:
        begins_ns: instant of the monotonic clock at which it began; in UTC it is ``began``.
        windows: of all of it.
        ended: how it ended in each worker; empty if it was interrupted.
        coordinator_cpu, machine_cpu: cores that this process used, and all processes together (0 if nobody knows).
        interrupted: it was ended early, by the caller or by ``error``.
        error: what ended it: a worker died, a disk is full, or nothing succeeded.
    """

    begins_ns: int
    began: datetime
    seconds: float
    spools: list[Spool]
    tally: Tally
    windows: list[Window]
    ended: list[LoadRunEnded]
    coordinator_cpu: float = 0.0
    machine_cpu: float = 0.0
    interrupted: bool = False
    error: TransferError | None = None

    def require_whole(self) -> None:
        """Make sure that the load came to its own end.

        Raises:
            TransferError: something else ended it.
            CancelledError: the caller did.
        """
        if self.error is not None:
            raise self.error
        if self.interrupted:
            raise asyncio.CancelledError


class Loader:
    """Has the workers of one engine put loads on one prefix."""

    def __init__(self, engine: AsyncEngine, record: Record, workers: int) -> None:
        self.workers = workers
        self._engine = engine
        self._record = record

    @contextlib.asynccontextmanager
    async def load(self, asked: Asked, on_window: OnWindow | None = None) -> AsyncGenerator[Loaded, None]:
        """Put a load on the service; what was recorded can be read until the context ends.

        A load that is cancelled, or fails, is ended at once, and tells what was recorded by then.

        Raises:
            TransferError: it could not be begun.
        """
        schedules = asked.schedules or (b"",) * self.workers
        with _spools(schedules) as spools:
            yield await self._loaded(asked, spools, on_window)

    async def _loaded(self, asked: Asked, spools: list[Spool], on_window: OnWindow | None) -> Loaded:
        target = await self._engine.control.target(self._record.bucket)
        begins_ns = time.monotonic_ns() + round(AHEAD_S * 1e9)
        began = datetime.now(UTC) + timedelta(seconds=AHEAD_S)
        loaded = Loaded(begins_ns, began, 0.0, spools, Tally(begins_ns), [], [])
        loads = [self._part(asked, target, worker, begins_ns) for worker in range(self.workers)]
        cpu_s, busy_s = time.process_time(), busy_cpu_s()
        task = asyncio.create_task(self._engine.control.put_load(loads, [spool.fd for spool in spools]))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=LOOK_S)
                await _read(loaded, on_window)
                self._require_hope(loaded)
                require_room()
            loaded.ended = await task
        except asyncio.CancelledError:
            loaded.interrupted = True
        except TransferError as error:
            loaded.interrupted, loaded.error = True, error
        finally:
            if not loaded.ended:  # also where one worker alone has failed
                self._engine.kill_workers()  # nothing else ends a load, and what they recorded stays
                await self._gone(task)
        elapsed_s = (time.monotonic_ns() - begins_ns) / 1e9
        loaded.seconds = max(elapsed_s, 1e-9)
        await _read(loaded, on_window, all_of_it=True)
        loaded.windows = [_cut(window, loaded.seconds) for window in loaded.tally.windows.all()]
        loaded.coordinator_cpu = (time.process_time() - cpu_s) / (loaded.seconds + AHEAD_S)
        loaded.machine_cpu = (busy_cpu_s() - busy_s) / (loaded.seconds + AHEAD_S)
        return loaded

    async def _gone(self, task: asyncio.Task[list[LoadRunEnded]]) -> None:
        """Wait until the workers that were killed are gone: they must store nothing any more."""
        workers = set(self._engine.worker_pids)
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # that they died
        deadline_s = time.monotonic() + GONE_S
        while workers & set(self._engine.worker_pids) and time.monotonic() < deadline_s:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(LOOK_S / 10)

    def _part(self, asked: Asked, target: Target, worker: int, begins_ns: int) -> LoadRun:
        lanes = len(range(worker, max(asked.lanes, self.workers), self.workers))
        return LoadRun(
            target=target,
            bucket=self._record.bucket,
            prefix=self._record.prefix,
            table=self._record.table,
            work=asked.work,
            worker=worker,
            workers=self.workers,
            weights=asked.weights,
            lanes=lanes,
            rate=asked.rate / self.workers,
            begins_ns=begins_ns,
            duration_ns=round(asked.duration_s * 1e9),
            order=asked.order,
            range_bytes=asked.range_bytes,
            compressible=asked.compressible,
            first_put=asked.puts[worker],
            seed=asked.seed,
            places=asked.shares[worker],
            schedule_bytes=len(asked.schedules[worker]) if asked.schedules else 0,
            folder=asked.folder,
        )

    def _require_hope(self, loaded: Loaded) -> None:
        """Raise the first failure if nothing succeeds, and more has failed than may succeed yet.

        Raises:
            OtherError: nothing did for too long.
        """
        tally = loaded.tally
        if tally.done or not tally.failed or (time.monotonic_ns() - loaded.begins_ns) / 1e9 < HOPELESS_S:
            return
        if tally.failed < tally.in_flight:  # long bodies take longer
            return
        kind = next(kind for spool in loaded.spools for kind in spool.kinds.values())
        text = f"none of {tally.failed} requests succeeded within {HOPELESS_S:g} s: {kind.message}"
        raise OtherError(text, self._record.url, kind.code)


def _cut(window: Window, seconds: float) -> Window:
    """Return a window that ends with its run."""
    length_s = round(min(window.length_s, max(seconds - window.at_s, 0.001)), 3)
    return msgspec.structs.replace(window, length_s=length_s)


@contextlib.contextmanager
def _spools(schedules: Sequence[bytes]) -> Iterator[list[Spool]]:
    """Make a spool for each schedule, and close them at the end.

    Raises:
        LocalError: the folder of temporary files refuses.
    """
    folder = spool_folder()
    with contextlib.ExitStack() as stack:
        made: list[Spool] = []
        for schedule in schedules:
            try:
                made.append(Spool(folder, schedule))
            except OSError as error:
                raise local_error(error, folder) from error
            stack.callback(made[-1].close)
        yield made


async def _read(loaded: Loaded, on_window: OnWindow | None, *, all_of_it: bool = False) -> None:
    """Count what has come, and tell the seconds that are over."""
    for worker, spool in enumerate(loaded.spools):
        for told in spool.new():
            if isinstance(told, Meter):
                loaded.tally.meter(worker, told)
            else:
                loaded.tally.rows(told)
    for window in loaded.tally.closed(all_of_them=all_of_it):
        if on_window is not None:
            await on_window(_cut(window, loaded.seconds) if all_of_it else window)
