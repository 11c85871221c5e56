"""Sends a request to one worker and waits for its answer; knows which workers take requests and how busy each is.

Ask ─▶ worker ─▶ Early, Answer … Answer(last) ─▶ one value of the request's type
╰▶ its death                    ─▶ WorkerGone
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from bulkhaul.engine.messages.request import Request, answer_decoder
from bulkhaul.engine.messages.requests import Answer, AnyRequest, Ask, Early
from bulkhaul.engine.pool.interface import Workers, WorkerState
from bulkhaul.model.errors import OtherError, StallTimeout, TransferError, WorkerDied, error_of
from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.values import Target

A = TypeVar("A")

_log = logging.getLogger("bulkhaul.endpoint")


class WorkerGone(Exception):
    """The worker died before it answered.

    Attributes:
        blameless: the request has nothing to do with that.
        asked: the request may have reached it.
    """

    def __init__(self, *, blameless: bool = False, asked: bool = True) -> None:
        super().__init__()
        self.blameless = blameless
        self.asked = asked


class _Open(msgspec.Struct):
    """A request under way.

    Attributes:
        pieces: of its answer, encoded, that have come.
    """

    worker: int
    request: Request[Any]
    future: asyncio.Future[Any]
    on_early: Callable[[str], None] | None
    pieces: list[bytes] = msgspec.field(default_factory=list)


class RoundTrips:
    """The requests under way at each worker.

    Attributes:
        targets: bucket → where its requests go, as far as answers have told.
        configured: workers that can resolve credentials, in the order of their start.
        closed: why no request is sent any more.
        answered_s: instant of the loop's clock when the service last answered otherwise than by an error.
    """

    def __init__(self, workers: Workers, timeouts: Timeouts) -> None:
        self.targets: dict[str, Target] = {}
        self.configured: list[int] = []
        self.closed: TransferError | None = None
        self.answered_s = 0.0
        self._workers = workers
        self._timeouts = timeouts
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, _Open] = {}
        self._next = 1
        self._load: dict[int, int] = {}  # usable worker → requests that it has
        self._waiting = 0  # requests for a usable worker
        self._refusal: TransferError | None = None  # why there was none for those that waited last
        self._changed = asyncio.Event()
        self._closing = asyncio.Event()

    @property
    def ask_s(self) -> float:
        """How long an answer about credentials may take."""
        return self._timeouts.ask_s

    @property
    def under_way(self) -> int:
        """Requests that wait for their answers."""
        return len(self._open)

    @property
    def usable(self) -> bool:
        """Whether any worker takes requests."""
        return bool(self._load)

    def least_busy(self) -> int:
        """Return the worker with the fewest requests; there must be a usable one."""
        return min(self._load, key=self._load.__getitem__)

    async def worker(self) -> int:
        """Wait for a usable worker and return the least busy one; more are started while all are busy.

        Raises:
            TransferError: there will be none.
        """
        await self.workers(1)
        return self.least_busy()

    async def workers(self, count: int) -> list[int]:
        """Wait for so many usable workers and return them, the least busy first.

        Raises:
            TransferError: there will be none.
        """
        self._waiting += count
        refused_before = self._refusal
        try:
            if self.closed is None:
                self._workers.need(self._waiting + sum(self._load.values()))
            while len(self._load) < count or self.closed is not None:
                if self.closed is not None:
                    raise self.closed
                if self._refusal is not None and self._refusal is not refused_before:
                    raise self._refusal
                if not self._workers.machine.alive:
                    raise WorkerDied(f"no worker is left; the last one died by {self._workers.last_death}")
                self._changed.clear()
                await self._changed.wait()
            return sorted(self._load, key=self._load.__getitem__)[:count]
        finally:
            self._waiting -= count

    async def make(
        self,
        worker: int,
        request: Request[A],
        memory_fd: int = -1,
        on_early: Callable[[str], None] | None = None,
        *,
        attempt: int = 1,
    ) -> A:
        """Have a worker make a request, once, and return the answer.

        Args:
            attempt: which try it is.

        Raises:
            WorkerGone: the worker is dead.
            TransferError: the request failed, or no answer came in time.
        """
        if self.closed is not None:
            raise self.closed
        if worker not in self._load and worker not in self.configured:
            # It died between the choice and the first step of the task that asks; its death is not told a second time.
            raise WorkerGone(blameless=True, asked=False)
        number, self._next = self._next, self._next + 1
        future: asyncio.Future[A] = self._loop.create_future()
        self._open[number] = _Open(worker, request, future, on_early)
        if worker in self._load:
            self._load[worker] += 1
        limit_s = None if request.endless else self._timeouts.ask_s
        if limit_s is not None and request.line == "slow":
            limit_s += self._timeouts.ack_s
        try:
            target = self.targets.get(getattr(request, "bucket", ""))
            ask = Ask(number, cast("AnyRequest", request), target, attempt)
            self._workers.send(worker, ask, [] if memory_fd < 0 else [memory_fd])
            async with asyncio.timeout(limit_s):
                return await future
        except TimeoutError:
            raise StallTimeout(f"no answer within {limit_s:g} s") from None
        finally:
            self._open.pop(number, None)
            if worker in self._load:
                self._load[worker] -= 1

    async def pause(self, wait_s: float) -> None:
        """Wait, but not beyond the end: the next request then raises."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._closing.wait()

    def answered(self, message: Answer | Early) -> None:
        """Take what a worker says of a request."""
        waiting = self._open.get(message.ask)
        if waiting is None or waiting.future.done():
            return
        if isinstance(message, Early):
            self.answered_s = self._loop.time()
            if waiting.on_early is not None:
                waiting.on_early(message.token)
        elif message.error is not None:
            waiting.future.set_exception(error_of(message.error))
        else:
            self.answered_s = self._loop.time()
            waiting.pieces.append(message.piece)
            if message.last:
                self._complete(waiting, message.target)

    def _complete(self, waiting: _Open, target: Target | None) -> None:
        try:
            answer = answer_decoder(type(waiting.request)).decode(b"".join(waiting.pieces))
        except msgspec.MsgspecError as error:
            waiting.future.set_exception(OtherError("a worker's answer cannot be read", cause=str(error)))
            return
        bucket = getattr(waiting.request, "bucket", "")
        if target is not None and bucket:
            if self.targets.get(bucket) != target and _log.isEnabledFor(logging.INFO):
                region, by = target.region or "none", "" if target.fast else f", by boto3, as {target.why_not}"
                _log.info("bucket %s: %s, signed for region %s%s", bucket, target.endpoint, region, by)
            self.targets[bucket] = target
        waiting.future.set_result(answer)

    def worker_changed(self, worker: int, state: WorkerState) -> None:
        """Take what a worker has become."""
        match state:
            case "configured":
                self.configured.append(worker)
            case "usable":
                self._load[worker] = 0
            case "lost" | "orphaned":
                self._load.pop(worker, None)
                if worker in self.configured:
                    self.configured.remove(worker)
                for waiting in list(self._open.values()):
                    if waiting.worker == worker and not waiting.future.done():
                        waiting.future.set_exception(WorkerGone(blameless=state == "orphaned"))
        self._changed.set()

    @property
    def waiting(self) -> int:
        """Requests that wait for a usable worker."""
        return self._waiting

    def refuse(self, error: TransferError) -> None:
        """Fail every request that waits for a usable worker; one that comes later waits anew."""
        self._refusal = error
        self._changed.set()

    def fail(self, error: TransferError) -> None:
        """End every request with an error, those that are made from now on as well."""
        self.closed = error
        self._closing.set()
        for waiting in self._open.values():
            if not waiting.future.done():
                waiting.future.set_exception(error)
        self._changed.set()
