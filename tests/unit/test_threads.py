"""Work in threads that uses what is its caller's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from tests.patience import PATIENCE_S


def test_a_cancelled_caller_waits_for_its_thread() -> None:
    """It goes on, cancelled, when the work is over, however often it is cancelled."""
    may_end, ended = threading.Event(), threading.Event()

    def work() -> None:
        may_end.wait(PATIENCE_S)
        ended.set()

    async def run() -> None:
        caller = asyncio.create_task(undisturbed(in_thread(work)))
        for _ in range(3):
            done, _ = await asyncio.wait({caller}, timeout=0.01)
            assert not done
            caller.cancel()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert ended.is_set()

    asyncio.run(run())
