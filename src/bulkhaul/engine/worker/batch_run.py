"""Carries out batches of small objects, in a worker: connections take their rows, and all is reported together.

    batch ─▶ rows ─▶ connections, each of which takes the next row by itself ─▶ BatchEnded
                                     what succeeded, each second of a slow one ─▶ BatchEnded, with more to follow

What befalls the whole host (throttling, a broken connection, expired credentials), or what every other row would meet,
ends a batch early: rows that were not begun go back untouched, and the coordinator decides when they are tried again.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.threads import unforeseen
from bulkhaul.engine.messages.messages import AnyBatch, BatchEnded, RowFailed
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.policy.reach import Reach, reach_of
from bulkhaul.wire.small_exchanges import Stopped
from bulkhaul.wire.transport import NotSpoken

ENDS_BATCH = frozenset({"Throttled", "NetworkError", "ExpiredCredentials"})
"""Errors that the next object would meet as well."""

TELL_S = 1.0
"""How often a batch tells what has succeeded: most end before, and a slow one shows that it gets on."""


class BatchRun(ABC):
    """One batch in this worker.

    Attributes:
        ended: what is to be reported, so far.
        arriving_bytes: of rows under way, what has come of them.
    """

    def __init__(self, batch: AnyBatch, folder_fd: int, transports: Transports, crowded: Callable[[], bool]) -> None:
        """Take over the descriptor of the folder.

        Args:
            crowded: tells a connection whether it is to take no other row.
        """
        self._crowded = crowded
        self._settled = 0
        self.folder_fd = folder_fd
        self.transports = transports
        self.ended = BatchEnded(batch.lease, [], [], [])
        self._batch = batch
        self._waiting = deque(range(len(batch.rows)))
        self._under_way = 0
        self._lanes: set[asyncio.Task[None]] = set()
        self._error: ErrorInfo | None = None
        self._settled_bytes = 0
        self.arriving_bytes = 0
        self._reported = False
        self._told_s = asyncio.get_running_loop().time()

    @abstractmethod
    def _lane(self) -> Coroutine[None, None, None]:
        """Return what carries out rows over one connection, until there are no more."""

    @abstractmethod
    async def _finish(self) -> None:
        """Do what is left to do when no row is under way any more."""

    @property
    def reached(self) -> tuple[int, int]:
        """The lease, and the bytes of its rows that are through, with what has come of those under way.

        On a slow line it may take longer than a lease may stand still until the first row is through.
        """
        return self.ended.lease, self._settled_bytes + self.arriving_bytes

    @property
    def through(self) -> tuple[int, int]:
        """The lease, and how many of its rows have succeeded."""
        return self.ended.lease, self._settled - len(self.ended.failed)

    def so_far(self) -> BatchEnded | None:
        """Return what has succeeded since this was last told, once a second; None for nothing. More follows it."""
        now_s, ended = asyncio.get_running_loop().time(), self.ended
        if self._reported or now_s - self._told_s < TELL_S or not (ended.landed or ended.sent):
            return None
        self._told_s = now_s
        self.ended = BatchEnded(ended.lease, [], [], ended.failed)
        return BatchEnded(ended.lease, ended.landed, ended.sent, more=True)

    @property
    def waits(self) -> bool:
        """Whether rows are still to be begun."""
        return self._error is None and bool(self._waiting)

    @property
    def single(self) -> bool:
        """Whether its rows are carried out one after the other."""
        return self._batch.single

    @property
    def _over(self) -> bool:
        return not self._under_way and (self._error is not None or not self._waiting)

    async def serve(self) -> BatchEnded | None:
        """Carry out rows over one connection as long as there are any; return what came of all if these were the last.

        Never raises.
        """
        if self.waits:
            lane = asyncio.create_task(self._lane())
            self._lanes.add(lane)
            try:
                await lane
            except asyncio.CancelledError:
                pass  # stopped
            except Exception as error:  # noqa: BLE001 - whatever a batch brings about must not end the worker
                self._end(self.transports.cleaned(info_of(error)))
            finally:
                self._lanes.discard(lane)
        if self._reported or not self._over:
            return None
        self._reported = True
        await self._finish()
        os.close(self.folder_fd)
        ended = self.ended
        return BatchEnded(ended.lease, ended.landed, ended.sent, ended.failed, self._error)

    def stop(self) -> None:
        """Begin no other row, and give up those under way."""
        self._end(ErrorInfo("Cancelled", "the batch was taken back"))
        for lane in self._lanes:
            lane.cancel()

    def _end(self, error: ErrorInfo) -> None:
        if self._error is None:
            self._error = error

    # What a connection asks for and tells

    def next_place(self) -> int | None:
        """Return the place of the next row, None if no other is to be begun."""
        if not self.waits or self._crowded():
            return None
        self._under_way += 1
        return self._waiting.popleft()

    def put_back(self, place: int) -> None:
        """Take a row back of which nothing was asked for yet."""
        self._under_way -= 1
        self._waiting.appendleft(place)

    def is_through(self, place: int) -> None:
        """A row has ended: it has succeeded, or failed."""
        self._under_way -= 1
        self._settled += 1
        self._settled_bytes += self._batch.rows[place].size_bytes

    def failed(self, place: int, error: ErrorInfo | BaseException) -> None:
        """A row has failed, and nothing is left of it."""
        if isinstance(error, Stopped):
            self.put_back(place)
            return
        self.is_through(place)
        info = self.transports.cleaned(info_of(error))
        self.ended.failed.append(RowFailed(place, info))
        if info.code in ENDS_BATCH or reach_of(info) is not Reach.OBJECT:
            self._end(info)


def info_of(error: ErrorInfo | BaseException) -> ErrorInfo:
    """Return the error that a row ends with."""
    if isinstance(error, ErrorInfo):
        return error
    if isinstance(error, TransferError):
        return error.info
    if isinstance(error, NotSpoken):
        return ErrorInfo("Unsupported", f"the fast transport does not read {error}")
    if isinstance(error, OSError):
        return local_error(error).info
    return unforeseen(error if isinstance(error, Exception) else Exception(repr(error)), "it could not be done")
