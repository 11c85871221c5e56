"""Hands the items of an async generator over to a thread that has no event loop: several at once, none late.

Bounded: a generator that is ahead of its reader waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Generic, TypeVar

T = TypeVar("T")

READ_AHEAD = 256
"""How many items may wait for the caller's thread."""

LINGER_S = 0.05
"""How long an item waits so that others can be handed over with it: each handover costs two switches of threads. At
1,000 small objects a second, 50 ms bring fifty of them together. With 10 ms the CPU time of 10,000 small objects is a
twentieth higher."""

_driving: set[asyncio.Task[None]] = set()
"""What runs a generator: the loop holds tasks weakly, and one that is collected with its reader could not be ended."""


class Driven(Generic[T]):
    """One task runs a generator; ``async with`` gives what takes its items: a list each time, empty after the last.

    It is no generator itself: the loop would end one that is collected, while its reader ends it, too.
    """

    def __init__(self, items: AsyncGenerator[T, None], ahead: int = READ_AHEAD) -> None:
        """Begin nothing yet.

        Args:
            ahead: how many items may wait.
        """
        self._items = items
        self._ahead = ahead
        self._found: list[T] = []
        self._some, self._full, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Callable[[], Coroutine[None, None, list[T]]]:
        self._task = asyncio.create_task(self._drive())
        _driving.add(self._task)
        self._task.add_done_callback(_driving.discard)
        return self._take

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # was raised where it was waited for, or nobody waits any more

    async def _drive(self) -> None:
        try:
            async with aclosing(self._items) as items:
                async for item in items:
                    self._found.append(item)
                    self._some.set()
                    if len(self._found) >= self._ahead:
                        self._full.set()
                        self._room.clear()
                        await self._room.wait()
        finally:  # in the step that ends this task
            self._some.set()
            self._full.set()

    async def _take(self) -> list[T]:
        await self._some.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                await self._full.wait()
        taken = self._found.copy()
        self._found.clear()
        self._room.set()
        if not self._task.done():
            self._some.clear()
            self._full.clear()
        elif not taken:
            self._task.result()  # raises what the generator raised
        return taken
