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
                for task in done:
                    task.result()
            tasks.add(asyncio.ensure_future(work(item)))
        while tasks:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    except BaseException:
        for task in tasks:
            task.cancel()
        if tasks:
            await outlast(*tasks)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # looked at: the first failure is the news
        raise
