"""Gives what a worker was sent to its connections: as many at a time as the coordinator allows at that moment.

    put ─▶ waiting ─▶ lane 1 … lane n ─▶ one lease after the other, or rows of a batch
                      ╰─▶ more of them than ``allowed``: ends after its lease, or its row

A batch stays at the head until its rows are taken, so that each lane that gets free joins it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Generic, Protocol, TypeVar


class Shared(Protocol):
    """Work that several lanes may do side by side: a batch.

    Attributes:
        waits: some of it is not begun.
        single: one lane at a time is to do it.
    """

    @property
    def waits(self) -> bool:
        """Whether some of it is not begun, and may be."""
        ...

    @property
    def single(self) -> bool:
        """Whether one lane alone does it."""
        ...


T = TypeVar("T")


class Lanes(Generic[T]):
    """The lanes of one worker; each is a task that uses a connection at a time.

    Attributes:
        allowed: lanes that there may be.
    """

    def __init__(
        self,
        serve: Callable[[T], Coroutine[None, None, None]],
        start: Callable[[Coroutine[None, None, None]], None],
        *,
        shared: Callable[[T], Shared | None],
    ) -> None:
        """Take what does the work.

        Args:
            serve: does one piece of it; for a batch, one lane's share.
            start: makes a task of a lane.
            shared: returns the batch that a piece is, None for one that a lane does alone.
        """
        self.allowed = 0
        self._serve = serve
        self._start = start
        self._shared = shared
        self._waiting: deque[T] = deque()
        self._busy = 0

    @property
    def busy(self) -> bool:
        """Whether anything is under way."""
        return self._busy > 0

    def allow(self, lanes: int) -> None:
        """Let there be so many; those that are too many end after what they are doing."""
        self.allowed = lanes
        self._fill()

    def put(self, work: T) -> None:
        """Have something done."""
        self._waiting.append(work)
        self._fill()

    def take_back(self, wanted: Callable[[T], bool]) -> T | None:
        """Return what was put and not begun, and forget it; None where nothing of that waits."""
        work = next((one for one in self._waiting if wanted(one)), None)
        if work is not None:
            self._waiting.remove(work)
        return work

    def crowded(self) -> bool:
        """Whether lanes are to take no other row and return from what they serve; those that may stay go on with it."""
        return self._busy > self.allowed

    def _fill(self) -> None:
        while self._busy < self.allowed and (work := self._next()) is not None:
            self._busy += 1
            self._start(self._run(work))

    def _next(self) -> T | None:
        while self._waiting:
            work = self._waiting[0]
            batch = self._shared(work)
            if batch is None or batch.single or not batch.waits:
                self._waiting.popleft()
            return work
        return None

    async def _run(self, first: T) -> None:
        work: T | None = first
        try:
            while work is not None:
                await self._serve(work)
                batch = self._shared(work)
                if batch is not None and batch.waits and work not in self._waiting:
                    self._waiting.appendleft(work)  # rows came back, or this lane has left them
                work = self._next() if self._busy <= self.allowed else None
        finally:
            self._busy -= 1
            self._fill()
