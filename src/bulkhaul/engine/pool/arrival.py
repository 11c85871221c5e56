"""Waits for bytes that workers move; it must not know what they are or where they go."""

from __future__ import annotations

import asyncio
import contextlib

from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import Moving
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.parttable import PartTable


async def arrival(dispatcher: Dispatcher, moving: Moving) -> PartTable:
    """Wait until all parts are there. When cancelled, wait until no worker touches the file any more, then go on.

    Raises:
        TransferError: they could not be moved; no worker touches the file any more.
    """
    try:
        return await asyncio.shield(moving.arrived)
    except asyncio.CancelledError:
        if not moving.arrived.done():
            dispatcher.abort(moving.transfer, ErrorInfo("Cancelled", "the transfer was cancelled"))
            with contextlib.suppress(asyncio.CancelledError):  # raised below
                await outlast(moving.arrived)
        if not moving.arrived.cancelled():
            moving.arrived.exception()  # it is ours to look at; the cancellation is the news
        raise
