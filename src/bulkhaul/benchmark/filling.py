"""Stores the objects that a benchmark needs, and stores again those that the service refused for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from bulkhaul.benchmark.loading import Asked, Loaded
from bulkhaul.benchmark.records import Record
from bulkhaul.engine.messages.load_run import SCHEDULED, Meter
from bulkhaul.model.errors import OtherError

PAUSES_S = (0.5, 2.0, 8.0)
"""Before each further round: a fill is no measurement, and a service that asks to slow down is to be obeyed."""


async def fill(load: Callable[[Asked], AbstractAsyncContextManager[Loaded]], asked: Asked, record: Record) -> None:
    """Store objects, in a few rounds where some fail.

    Args:
        asked: PUTs alone, one of each object: a load that fills, or a schedule.

    Raises:
        TransferError: some could not be stored.
        CancelledError: it was interrupted.
    """
    pauses = iter(PAUSES_S)
    while True:
        async with load(asked) as loaded:
            loaded.require_whole()
            if not loaded.tally.failed:
                return
            failed = [_failed(loaded, worker) for worker in range(len(loaded.spools))]
            kinds = [kind for spool in loaded.spools for kind in spool.kinds.values()]
        final = [kind for kind in kinds if not kind.retryable]
        pause_s = next(pauses, None)
        if final or pause_s is None:
            kind = (final or kinds)[0]
            text = f"{loaded.tally.failed} objects of the benchmark could not be stored: {kind.message}"
            raise OtherError(text, record.url, kind.code)
        await asyncio.sleep(pause_s)
        asked = _of(asked, failed)


def _failed(loaded: Loaded, worker: int) -> frozenset[int]:
    """Return the places of the objects that a worker could not store."""
    frames = [rows for rows in loaded.spools[worker].again() if not isinstance(rows, Meter)]
    return frozenset(place for rows in frames for place in rows["place"][rows["failure"] != 0].tolist())


def _of(asked: Asked, places: list[frozenset[int]]) -> Asked:
    """Return the same load, of these objects alone."""
    if asked.work != "replay":
        return msgspec.structs.replace(asked, shares=tuple(tuple(sorted(of)) for of in places))
    schedules = tuple(
        b"".join(SCHEDULED.pack(*row) for row in SCHEDULED.iter_unpack(schedule) if row[1] in of)
        for schedule, of in zip(asked.schedules, places, strict=True)
    )
    return msgspec.structs.replace(asked, schedules=schedules)
