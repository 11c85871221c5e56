"""Hands the items of an async generator over to a thread that has no event loop: several at once, none late.

Bounded: a generator that is ahead of its reader waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

T = TypeVar("T")

READ_AHEAD = 256
"""How many items may wait for the caller's thread."""

LINGER_S = 0.05
"""How long an item waits so that others can be handed over with it: each handover costs two switches of threads. At
1,000 small objects a second, 50 ms bring fifty of them together. With 10 ms the CPU time of 10,000 small objects is a
twentieth higher."""


@asynccontextmanager
async def driven(
    items: AsyncGenerator[T, None], ahead: int = READ_AHEAD
) -> AsyncIterator[Callable[[], Coroutine[None, None, list[T]]]]:
    """Run a generator in one task, and yield what takes its items: a list each time, empty when there are no more.

    Args:
        ahead: how many items may wait.
    """
    found: list[T] = []
    some, full, room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def drive() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    found.append(item)
                    some.set()
                    if len(found) >= ahead:
                        full.set()
                        room.clear()
                        await room.wait()
        finally:  # in the step that ends this task
            some.set()
            full.set()

    driving = asyncio.create_task(drive())

    async def take() -> list[T]:
        await some.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await full.wait()
        taken = found.copy()
        found.clear()
        room.set()
        if not driving.done():
            some.clear()
            full.clear()
        elif not taken:
            driving.result()  # raises what the generator raised
        return taken

    try:
        yield take
    finally:
        driving.cancel()
        await asyncio.wait([driving])
        if not driving.cancelled():
            driving.exception()  # was raised where it was waited for, or nobody waits any more
