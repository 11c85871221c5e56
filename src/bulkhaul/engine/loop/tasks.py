"""Waits for tasks: waits that a cancellation cannot cut short, and many pieces of one job side by side.

A file can be closed only after the workers that hold it have answered. asyncio cancels a task once, anyio's scopes in
every turn of the loop until it ends, so cleaning up needs a wait that outlasts both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
Item = TypeVar("Item")


async def outlast(*tasks: asyncio.Future[Any]) -> None:
    """Wait until every task has ended, however often the caller is cancelled, then pass the cancellation on.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile.
    """
    cancelled: asyncio.CancelledError | None = None
    while any(not task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def undisturbed(
    work: Awaitable[T], *, hurry: Callable[[], object] | None = None, undo: Callable[[T], object] | None = None
) -> T:
    """Wait until work has ended, even when cancelled, so that what it uses stays open until then.

    Args:
        hurry: called at the cancellation, to make the work end soon.
        undo: called with the result of work that ended after the cancellation.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if hurry is not None:
            hurry()
        with contextlib.suppress(asyncio.CancelledError):  # raised below
            await outlast(task)
        # Calling exception() also keeps asyncio from logging a failure that the cancellation hides.
        if not task.cancelled() and task.exception() is None and undo is not None:
            undo(task.result())
        raise


async def all_or_none(work: Callable[[Item], Awaitable[None]], items: Iterable[Item], *, at_once: int) -> None:
    """Do ``work`` for every item; when one fails, cancel the others, wait until all have ended, and raise its error.

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
    """Retrieve all failures: one is raised, and asyncio would log the others as never retrieved."""
    for task in ended:
        if not task.cancelled():
            task.exception()
