"""Probes how fast a disk takes writes, alone; a slow one, and one that stands still, for some seconds only.

64 KiB, flushed ─▶ 128 KiB, flushed ─▶ … ─▶ 64 MiB, flushed, or as much as takes a second: its rate counts
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time

from bulkhaul.engine.loop.threads import in_own_thread
from bulkhaul.model.limits import KIB, MIB

FIRST_BYTES = 64 * KIB
LAST_BYTES = 64 * MIB

ENOUGH_S = 1.0
"""A step that takes so long tells the rate; the next one would take twice as long."""

MOST_S = 10.0
"""Nothing waits longer for the disk."""


async def disk_floor(folder: str) -> tuple[int, str]:
    """Return the bytes a second that the disk of a folder takes, or 0 and why that is not known."""
    rates: list[float] = []
    over = threading.Event()
    ended = in_own_thread(lambda: _write(folder, rates, over), "disk-floor")
    try:
        await asyncio.wait({ended}, timeout=MOST_S)
    finally:
        over.set()
    error = ended.result() if ended.done() else None
    if isinstance(error, OSError):
        return 0, error.strerror or str(error)  # without its path
    if error is not None:
        raise error
    if not rates:
        return 0, f"it did not take {FIRST_BYTES // KIB} KiB within {MOST_S:g} s"
    return round(rates[-1]), ""


def _write(folder: str, rates: list[float], over: threading.Event) -> None:
    """Write more and more, and add the rate of each step."""
    data = memoryview(os.urandom(MIB))
    step_bytes, took_s = FIRST_BYTES, 0.0
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while step_bytes <= LAST_BYTES and took_s < ENOUGH_S and not over.is_set():
            began_s = time.perf_counter()
            offset = 0
            while offset < step_bytes:
                offset += os.pwrite(file.fileno(), data[: step_bytes - offset], offset)
            os.fdatasync(file.fileno())
            took_s = time.perf_counter() - began_s
            rates.append(step_bytes / took_s)
            step_bytes *= 2


__all__ = ["disk_floor"]
