"""Keeps the batches of one worker that are under way."""

from __future__ import annotations

from collections.abc import Callable

from bulkhaul.engine.messages.messages import AnyBatch, BatchEnded, GetBatch
from bulkhaul.engine.worker.batch_run import BatchRun
from bulkhaul.engine.worker.get_batch import SCRATCH_BYTES, GetRun
from bulkhaul.engine.worker.put_batch import PutRun
from bulkhaul.engine.worker.transports import Transports


class Batches:
    """The batches of one worker, by lease."""

    def __init__(self, transports: Transports, crowded: Callable[[], bool]) -> None:
        self._crowded = crowded
        self._transports = transports
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._runs: dict[int, BatchRun] = {}

    def begin(self, batch: AnyBatch, folder_fd: int) -> BatchRun:
        """Take a batch and the descriptor of its folder."""
        if isinstance(batch, GetBatch):
            run: BatchRun = GetRun(batch, folder_fd, self._transports, self._crowded, self._scratch)
        else:
            run = PutRun(batch, folder_fd, self._transports, self._crowded)
        self._runs[batch.lease] = run
        return run

    async def serve(self, run: BatchRun) -> BatchEnded | None:
        """See ``BatchRun.serve``."""
        ended = await run.serve()
        if ended is not None:
            del self._runs[ended.lease]
        return ended

    def reached(self) -> list[tuple[int, int]]:
        """Return (lease, bytes of the rows that are through) of the batches under way."""
        return [run.reached for run in self._runs.values()]

    def through(self) -> list[tuple[int, int]]:
        """Return (lease, rows that have succeeded) of the batches under way."""
        return [run.through for run in self._runs.values()]

    def so_far(self) -> list[BatchEnded]:
        """Return what has succeeded of slow batches; see ``BatchRun.so_far``."""
        return [told for run in self._runs.values() if (told := run.so_far()) is not None]

    def stop(self, lease: int) -> BatchRun | None:
        """End a batch early, and return it if it is here."""
        if (run := self._runs.get(lease)) is not None:
            run.stop()
        return run
