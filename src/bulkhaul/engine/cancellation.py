"""Waits that a cancellation cannot cut short; it must not know what is waited for.

Letting go of a file takes a moment: workers must answer first. asyncio cancels a task once, anyio's scopes again in
every turn of the loop until it ends, so cleaning up needs a wait that outlasts both.
"""

from __future__ import annotations

import asyncio
from typing import Any


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
