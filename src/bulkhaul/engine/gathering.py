"""Runs many pieces of one job side by side, a few at once; it must not know what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from bulkhaul.engine.cancellation import outlast

Item = TypeVar("Item")


async def all_or_none(work: Callable[[Item], Awaitable[None]], items: Iterable[Item], *, at_once: int) -> None:
    """Do ``work`` for every item; when one fails, cancel the others, wait until all have let go, and raise its error.

    Args:
        at_once: pieces under way at most; the next item is taken when one of them ends.
    """
    tasks: set[asyncio.Future[None]] = set()
    try:
        for item in items:
            if len(tasks) >= at_once:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                require_done(done)
            tasks.add(asyncio.ensure_future(work(item)))
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            require_done(done)
    except BaseException:
        for task in tasks:
            task.cancel()
        if tasks:
            await outlast(*tasks)
        look_at(tasks)
        raise


def require_done(done: Iterable[asyncio.Future[Item]]) -> None:
    """Return if every one of these has succeeded.

    Raises:
        Whatever one of them raised.
    """
    ended = list(done)
    look_at(ended)
    for task in ended:
        task.result()


def look_at(ended: Iterable[asyncio.Future[Item]]) -> None:
    """Take note of all failures: one is the news, and nobody is to complain that the others were not looked at."""
    for task in ended:
        if not task.cancelled():
            task.exception()
