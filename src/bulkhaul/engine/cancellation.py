"""Waits that a cancellation cannot cut short; it must not know what is waited for.

Letting go of a file takes a moment: workers must answer first. asyncio cancels a task once, anyio's scopes again in
every turn of the loop until it ends, so cleaning up needs a wait that outlasts both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


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
    """Wait for work even when cancelled: what it has in hand must not be taken away under it.

    Args:
        hurry: called at the cancellation, to have the work end soon.
        undo: called with what the work has made that nobody takes any more.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if hurry is not None:
            hurry()
        with contextlib.suppress(asyncio.CancelledError):  # raised below
            await outlast(task)
        # Its failure is looked at either way: the cancellation is the news.
        if not task.cancelled() and task.exception() is None and undo is not None:
            undo(task.result())
        raise
