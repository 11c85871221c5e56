"""Reads a plan ahead of its work, so that what is planned is known early: the total, and when the plan is whole.

Memory is bounded by the objects that are read and not begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeVar

from bulkhaul.engine.loop.tasks import outlast

T = TypeVar("T")

AHEAD = 4096
"""Objects that are planned and not begun at most: four pages of a listing, and a few MiB."""


async def read_ahead(
    plan: AsyncGenerator[T, None], on_read: Callable[[T], int], *, most: int = AHEAD
) -> AsyncGenerator[T, None]:
    """Yield what a plan does, in its order.

    Args:
        on_read: is told of each as soon as it is read, and returns how many objects it holds.
        most: objects that wait to be yielded, at most, but for the last one that was read.

    Raises:
        Whatever the plan raises, after all that it has yielded before.
    """
    waiting = deque[tuple[T, int]]()
    held = 0
    news, room = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        nonlocal held
        async with aclosing(plan):
            async for one in plan:
                objects = on_read(one)
                held += objects
                waiting.append((one, objects))
                news.set()
                while held >= most:
                    room.clear()
                    await room.wait()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: news.set())
    try:
        while waiting or not reading.done():
            if not waiting:
                news.clear()
                await news.wait()
                continue
            one, objects = waiting.popleft()
            held -= objects
            room.set()
            yield one
        await reading  # raises what the plan raised
    finally:
        reading.cancel()
        await outlast(reading)
        if not reading.cancelled():
            reading.exception()  # else asyncio reports it, though the caller does not ask
