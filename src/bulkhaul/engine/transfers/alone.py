"""Has objects of a batch moved by themselves: what failed in it, and what is left of one that has failed as a whole."""

from __future__ import annotations

import asyncio
import functools

from bulkhaul.engine.pool.batch_job import BatchJob
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.batch import Outlet, Work
from bulkhaul.model.errors import TransferError
from bulkhaul.model.results import TransferResult


class Alone:
    """The objects of one batch that go on alone.

    Attributes:
        count: how many there are so far.
    """

    def __init__(self, outlet: Outlet, works: list[Work], suspects: asyncio.Lock) -> None:
        """Take what does the work of each.

        Args:
            suspects: held by one object of the run at a time, of those that workers have died with.
        """
        self.count = 0
        self._outlet = outlet
        self._works = works
        self._suspects = suspects

    def go(self, place: int, *, suspect: bool = False) -> None:
        """Have an object moved as any single one."""
        self.count += 1
        work = self._works[place]
        self._outlet.alone(place, functools.partial(_in_turn, self._suspects, work) if suspect else work)

    def all_go(self) -> None:
        """Have every object moved as any single one."""
        for place in range(len(self._works)):
            self.go(place)

    async def after(self, job: BatchJob, dispatcher: Dispatcher) -> None:
        """Run a job; if it fails, what is left of it goes on alone."""
        try:
            await dispatcher.run(job)
        except TransferError as error:
            # By itself each may succeed, and else fails with an error of its own. One that kills workers would have
            # those fail that are under way beside it, so all that were there go one after the other.
            for place in job.left:
                self.go(place, suspect=error.info.code == "WorkerDied")
            job.left = []


async def _in_turn(turn: asyncio.Lock, work: Work) -> TransferResult:
    async with turn:
        return await work()
