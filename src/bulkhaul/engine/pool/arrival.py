"""Defines a job from its begin to its end, as a block that is entered when the bytes are there."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from bulkhaul.engine.pool.batch_job import Job
from bulkhaul.policy.parttable import PartTable


class Mover(Protocol):
    """Who has the bytes of a job moved."""

    def begin(self, job: Job) -> None:
        """Begin with a job."""
        ...

    async def arrived(self, job: Job) -> PartTable:
        """Wait until all of its parts are there."""
        ...

    def end(self, job: Job, *, kept: bool) -> None:
        """Forget it; ``kept`` if its bytes count as moved."""
        ...


class Arrival:
    """A job under way.

    Written by hand: contextlib takes four times as long, and every object passes here.
    """

    __slots__ = ("_job", "_mover")

    def __init__(self, mover: Mover, job: Job) -> None:
        self._mover = mover
        self._job = job

    async def __aenter__(self) -> PartTable:
        self._mover.begin(self._job)
        try:
            return await self._mover.arrived(self._job)
        except BaseException:
            self._mover.end(self._job, kept=False)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mover.end(self._job, kept=kind is None)
