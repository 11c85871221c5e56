"""Has every worker put its share of a load on the service, each with a spool that it records into."""

from __future__ import annotations

from collections.abc import Sequence

from bulkhaul.engine.messages.load_run import LoadRun, LoadRunEnded
from bulkhaul.engine.pool.requests import Requests


class Loads:
    """Asks the workers for a load."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def put_load(self, loads: Sequence[LoadRun], spool_fds: Sequence[int]) -> list[LoadRunEnded]:
        """Put a load on the service, each part of it by a worker of its own, and wait for its end.

        Args:
            spool_fds: where each part records its requests; they stay the caller's.

        Raises:
            WorkerDied: a worker died; what it had recorded by then is in its spool.
            TransferError: a part could not be begun, or its spool not be written.
        """
        return await self._requests.ask_each(loads, spool_fds)
