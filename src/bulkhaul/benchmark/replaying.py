"""Runs an op-log again: the requests that it holds, at their times, on objects of the benchmark's own."""

from __future__ import annotations

from bulkhaul import __version__
from bulkhaul.benchmark.filling import fill
from bulkhaul.benchmark.loading import Asked, Loader
from bulkhaul.benchmark.machine import machine
from bulkhaul.benchmark.place import make_place
from bulkhaul.benchmark.replay import Replay
from bulkhaul.benchmark.results import FORMAT, Result, Window
from bulkhaul.benchmark.run_of import run_of
from bulkhaul.benchmark.running import OPEN_CONNECTIONS
from bulkhaul.benchmark.sessions import Listener, OnResult, clean_up, place_of
from bulkhaul.benchmark.spools import require_room
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.workloads import OPERATIONS, Operation, Workload
from bulkhaul.policy.comparability import RECORDED


async def replay(
    engine: AsyncEngine,
    url: str,
    asked: Replay,
    name: str,
    speed: float,
    listener: Listener,
    on_result: OnResult,
    *,
    concurrency: int = 0,
) -> Result:
    """Run an op-log again below ``url``, in an open loop, and return the result.

    Args:
        asked: what is done, by as many workers as the engine has.
        name: of the log.
        speed: by what factor it is faster than the log was; only told.
        on_result: is told the result before anything else can fail, also of a run that failed in the middle.
        concurrency: requests in flight at most; 0 for as many as are due, up to 1024.

    Raises:
        TransferError: nothing succeeded.
    """
    require_room()
    bucket, prefix = place_of(url)
    workers = engine.settings.worker_count
    lanes = concurrency or OPEN_CONNECTIONS
    record = await make_place(engine, bucket, prefix, asked.table, str(asked.largest_bytes), prepared=False)
    loader = Loader(engine, record, workers)
    await listener.made(record.url)
    settled = False  # until all requests that change anything have ended
    try:
        await listener.began("prepare")
        await fill(loader.load, _asked(asked.prepared, lanes), record)

        async def tell(window: Window) -> None:
            await listener.window(1, window)

        scheduled = _asked(asked.schedules, lanes)
        settled = not scheduled.changes
        async with loader.load(scheduled, tell) as loaded:
            settled = settled or not loaded.interrupted
            if not loaded.tally.done:
                loaded.require_whole()
            rate = asked.requests / max(asked.seconds, 1.0)
            run = run_of(loaded, 1, concurrency=lanes, floors=None, rate=rate, replayed=True)
        workload = Workload(
            mix=_mix(run.windows),
            size=RECORDED,
            objects=asked.objects,
            duration_s=max(asked.seconds, 1.0),
            concurrency=lanes,
            rate=rate,
        )
        result = Result(
            format=FORMAT,
            version=__version__,
            name=f"replay of {name}",
            endpoint=record.endpoint,
            url=record.url,
            open_loop=True,
            workload=workload,
            settings={"workers": str(workers), "concurrency": str(lanes), "speed": f"{speed:g}"},
            machine=machine(),
            floors=None,
            runs=(run,),
            no_floors="a replay is probed for none",
        )
        await on_result(0, result)
        await listener.ended(run)
        if loaded.error is not None:
            raise loaded.error
        return result
    finally:
        await clean_up(engine, record, listener, settled=settled)


def _asked(schedules: tuple[bytes, ...], lanes: int) -> Asked:
    return Asked(
        work="replay", lanes=lanes, shares=(None,) * len(schedules), schedules=schedules, puts=(0,) * len(schedules)
    )


def _mix(windows: tuple[Window, ...]) -> dict[Operation, float]:
    """Return how many requests of each operation were made."""
    mix = {name: float(sum(window.done.get(name, 0) for window in windows)) for name in OPERATIONS}
    return {name: count for name, count in mix.items() if count} or {"get": 1.0}
