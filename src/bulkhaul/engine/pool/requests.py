"""Has workers make requests (HEAD, LIST …), with patience, and keeps the credentials fresh.

One worker is asked at a time, the least busy one; if it dies another one is. Retries follow the same rules as parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import msgspec

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.messages.messages import require_sound
from bulkhaul.engine.messages.requests import (
    FIRST_GENERATION,
    REQUESTS,
    Answer,
    AnyRequest,
    Ask,
    Early,
    Head,
    ListPage,
    Locate,
    Read,
    Request,
    Resolve,
    answer_decoder,
)
from bulkhaul.engine.pool.dispatcher import Dispatcher, WorkerNews
from bulkhaul.model.errors import Cancelled, ErrorInfo, OtherError, StallTimeout, TransferError, WorkerDied, error_of
from bulkhaul.model.settings import Settings
from bulkhaul.policy.events import CredentialsReplaced
from bulkhaul.policy.pacing import backoff_s
from bulkhaul.policy.patience import Patience
from bulkhaul.wire.values import Credentials, Target

A = TypeVar("A")

REFRESH_AHEAD_S = 600.0
"""Credentials are renewed this long before they end. Source: botocore's mandatory refresh window."""

REFRESH_AT_MOST_EVERY_S = 60.0

REFRESH_ATTEMPTS = 3
"""How often the chain is asked when it fails; a worker may die with the request, a metadata service may be slow."""

READ_S = 24 * 3600.0
"""Longest read of an object into memory: 5 TiB at 64 MB/s."""

DOUBTFUL = frozenset({"NetworkError", "StallTimeout", "ServerError", "WorkerDied"})
"""Failures of a request that may have taken effect all the same: nobody was told."""

LOOK_S = 0.25
"""How often a request that waits for an endpoint looks whether it is back."""


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


class _WorkerGone(Exception):
    """The worker died before it answered.

    Attributes:
        blameless: that had nothing to do with what it was asked.
        asked: the request has reached it, perhaps.
    """

    def __init__(self, *, blameless: bool = False, asked: bool = True) -> None:
        super().__init__()
        self.blameless = blameless
        self.asked = asked


class Desk:
    """Requests under way, and the credentials that workers sign with.

    Attributes:
        answered_s: instant of the loop's clock when the service last answered otherwise than by an error.
    """

    def __init__(self, settings: Settings, dispatcher: Dispatcher) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, _Open] = {}
        self._next = 1
        self._targets: dict[str, Target] = {}
        self._locating: dict[str, asyncio.Task[Target]] = {}
        self._slow = asyncio.Semaphore(settings.max_in_flight)
        self._configured: list[int] = []  # workers that can be asked for credentials
        self._load: dict[int, int] = {}  # usable worker → requests that it has
        self._resolved = False
        self._news = asyncio.Event()
        self._credentials: Credentials | None = None
        self._failure: TransferError | None = None
        self._closed: TransferError | None = None
        self._closing = asyncio.Event()
        self._refreshing: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None
        self._refreshed_s = 0.0
        self.answered_s = 0.0
        dispatcher.on_answer = self._answered
        dispatcher.on_worker = self._worker_news
        dispatcher.on_expired = self._expired
        dispatcher.on_broken = self._end
        self._last_resort = dispatcher.last_resort

    @property
    def credentials(self) -> Credentials | None:
        """What requests are signed with since the first answer; None if they are not."""
        return self._credentials

    @property
    def resolved(self) -> bool:
        """Whether there are credentials, or none are needed, and nobody is being asked for them now."""
        return self._resolved and self._refreshing is None

    async def target(self, bucket: str) -> Target:
        """Return where requests for a bucket go; it is asked once, however many want to know.

        Raises:
            TransferError: no request could be made at all.
        """
        known = self._targets.get(bucket)
        if known is not None:
            return known
        locating = self._locating.get(bucket)
        if locating is None:
            locating = self._locating[bucket] = asyncio.create_task(self._locate(bucket))
            locating.add_done_callback(self._last_resort.guard(functools.partial(self._located, bucket)))
        return await asyncio.shield(locating)  # who is cancelled leaves it to the others

    async def _locate(self, bucket: str) -> Target:
        target = self._targets[bucket] = await self.ask(Locate(bucket), f"s3://{bucket}")
        return target

    def _located(self, bucket: str, locating: asyncio.Task[Target]) -> None:
        del self._locating[bucket]
        if not locating.cancelled():
            locating.exception()  # looked at: perhaps nobody waits any more

    async def ask(
        self,
        request: Request[A],
        subject: str = "",
        *,
        memory_fd: int = -1,
        on_doubt: Callable[[], None] | None = None,
        before_again: Callable[[], Awaitable[None]] | None = None,
        on_early: Callable[[str], None] | None = None,
    ) -> A:
        """Return the answer to a request, after as many tries as the rules allow.

        Args:
            memory_fd: memory that goes along with the request; it stays the caller's.
            on_doubt: called for each try that has failed and may have taken effect all the same.
            before_again: awaited before the try that follows such a one; what it raises ends the request.
            on_early: called with where the next page of a listing begins, by a try that may fail yet.

        Raises:
            UsageError: the request holds what no worker could read.
            TransferError: the last failure, about ``subject``.
        """
        require_sound(request, REQUESTS, subject)
        machine = self._dispatcher.machine
        patience: Patience | None = None  # of one that has failed
        generation = 0
        doubtful = False
        while True:
            self._refresh_if_due()
            if doubtful and before_again is not None:
                await before_again()
                doubtful = False
            try:
                worker = await self._freest_worker()
                generation = self._credentials.generation if self._credentials else 0
                if request.line == "slow":
                    answer = await self._put_whole(request, memory_fd)
                elif not request.sent:
                    answer = await self._put(worker, request, memory_fd)
                else:
                    await self._admitted()
                    answer = await self._put(await self._freest_worker(), request, memory_fd, on_early)
                if request.sent:
                    machine.request_answered()
                return answer
            except _WorkerGone as gone:
                doubtful = doubtful or gone.asked
                if on_doubt is not None and gone.asked:
                    on_doubt()
                patience = patience or Patience()
                # Workers that are killed together are lost one by one: the second may have been dead when it was asked.
                if not gone.blameless and not patience.lost_worker(unsure=1):
                    deaths = f"{patience.deaths} workers died with this request"
                    raise WorkerDied(f"{deaths}, the last one by {self._dispatcher.last_death}", subject) from None
            except TransferError as error:
                if error.info.code in DOUBTFUL and not error.info.unreached:
                    doubtful = True
                    if on_doubt is not None:
                        on_doubt()
                patience = patience or Patience()
                wait = machine.request_failed(patience, error.info, self._loop.time(), requests=len(self._open) + 1)
                if isinstance(wait, ErrorInfo):
                    raise error_of(wait).about(subject) from error
                if error.info.code == "ExpiredCredentials":
                    await self._refresh(generation)
                elif wait:
                    await self._pause(wait)

    async def _admitted(self) -> None:
        """Wait until a request may go out: a pause at a time while the endpoint is away, or has asked for calm."""
        machine = self._dispatcher.machine
        while (wait_s := machine.admit_request(self._loop.time())) and self._closed is None:
            await self._pause(min(wait_s, LOOK_S))  # it may be back before

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not beyond the end: then the next try tells of it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._closing.wait()

    async def _put_whole(self, request: Request[A], memory_fd: int) -> A:
        """Ask for what takes long and changes something: a few at a time, and never left while it is under way.

        Whoever is cancelled gets his cancellation when the service has answered, or cannot any more: only then
        can what it did be undone.
        """
        async with self._slow:
            await self._admitted()  # it may have gone away while this one waited for its turn
            return await undisturbed(self._put(await self._freest_worker(), request, memory_fd))

    def close(self) -> None:
        """Answer nobody any more: whoever waits for an answer, or asks from now on, gets Cancelled."""
        self._end(Cancelled("the engine was closed"))

    def _end(self, error: TransferError) -> None:
        self._failure = self._closed = error
        self._closing.set()
        for waiting in self._open.values():
            if not waiting.future.done():
                waiting.future.set_exception(error)
        self._news.set()

    async def _freest_worker(self) -> int:
        while not self._load or self._closed is not None:
            if self._failure is not None:
                raise self._failure
            if not self._dispatcher.machine.alive:
                text = f"no worker is left; the last one died by {self._dispatcher.last_death}"
                raise WorkerDied(text)
            self._news.clear()
            await self._news.wait()
        return min(self._load, key=self._load.__getitem__)

    async def _put(
        self,
        worker: int,
        request: Request[A],
        memory_fd: int = -1,
        on_early: Callable[[str], None] | None = None,
    ) -> A:
        if self._closed is not None:
            raise self._closed
        if worker not in self._load and worker not in self._configured:
            # It died between the choice and the first step of the task that asks: nobody would tell of its end again.
            raise _WorkerGone(blameless=True, asked=False)
        number, self._next = self._next, self._next + 1
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._open[number] = _Open(worker, request, future, on_early)
        if worker in self._load:
            self._load[worker] += 1
        timeouts = self._settings.timeouts
        patience_s = timeouts.ask_s
        if request.line == "slow":
            patience_s += timeouts.ack_s
        elif isinstance(request, Read):
            patience_s = READ_S  # the worker notices by itself when nothing moves
        try:
            self._dispatcher.ask(worker, Ask(number, cast("AnyRequest", request)), [] if memory_fd < 0 else [memory_fd])
            async with asyncio.timeout(patience_s):
                return await future
        except TimeoutError:
            raise StallTimeout(f"no answer within {patience_s:g} s") from None
        finally:
            self._open.pop(number, None)
            if worker in self._load:
                self._load[worker] -= 1

    def _answered(self, message: Answer | Early) -> None:
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
        if target is not None and isinstance(waiting.request, Head | ListPage):
            self._targets[waiting.request.bucket] = target
        waiting.future.set_result(answer)

    # Workers

    def _worker_news(self, worker: int, news: WorkerNews) -> None:
        match news:
            case "configured":
                self._configured.append(worker)
            case "usable":
                self._load[worker] = 0
            case "lost" | "orphaned":
                self._load.pop(worker, None)
                if worker in self._configured:
                    self._configured.remove(worker)
                for waiting in list(self._open.values()):
                    if waiting.worker == worker and not waiting.future.done():
                        waiting.future.set_exception(_WorkerGone(blameless=news == "orphaned"))
        self._resolve_first()
        self._news.set()

    # Credentials

    def _resolve_first(self) -> None:
        """Have one worker ask the chain for all of them, unless that is done or under way."""
        if not self._resolved and self._failure is None and self._refreshing is None and self._configured:
            self._resolve_by(self._configured[0], FIRST_GENERATION)

    def _resolve_by(self, worker: int, generation: int) -> None:
        self._refreshing = asyncio.create_task(self._resolve(worker, generation))
        self._last_resort.watch(self._refreshing)

    async def _resolve(self, worker: int, generation: int) -> None:
        try:
            credentials = await self._put(worker, Resolve(generation))
        except TransferError as error:
            if not self._resolved:
                self._failure = error
            self._news.set()
            return
        except _WorkerGone:
            self._refreshing = None
            self._resolve_first()  # with another one; the news of this one's death came while it was being asked
            return
        finally:
            if self._refreshing is asyncio.current_task():
                self._refreshing = None
        self._resolved = True
        self._refreshed_s = time.monotonic()
        self._credentials = credentials
        self._dispatcher.sign_with(credentials)

    async def _refresh(self, generation: int) -> None:
        """Have credentials newer than ``generation``; however many ask, the chain is asked once.

        Ends in a generation that is newer, whatever happens: where nothing newer can be had, the old ones under a new
        number. What was refused is then refused again, and says so.
        """
        for attempt in range(1, REFRESH_ATTEMPTS + 1):
            if self._credentials is not None and self._credentials.generation > generation:
                return  # the refusal came late: they were renewed meanwhile
            if self._refreshing is None and self._load and self._credentials is not None:
                worker = min(self._load, key=self._load.__getitem__)
                self._resolve_by(worker, generation + 1)
            if self._refreshing is not None:
                await asyncio.wait([self._refreshing])
            if self._credentials is None or self._credentials.generation > generation:
                break
            if attempt < REFRESH_ATTEMPTS:
                await self._pause(backoff_s(attempt + 2, self._rng))
        if self._credentials is None:
            self._dispatcher.handle(CredentialsReplaced(generation + 1))
        elif self._credentials.generation <= generation:
            self._credentials = msgspec.structs.replace(self._credentials, generation=generation + 1)
            self._dispatcher.sign_with(self._credentials)

    def _expired(self, generation: int) -> None:
        self._background = asyncio.create_task(self._refresh(generation))
        self._last_resort.watch(self._background)

    def _refresh_if_due(self) -> None:
        held = self._credentials
        if held is None or not held.expires_s or self._refreshing is not None:
            return
        due = held.expires_s - time.time() < REFRESH_AHEAD_S
        if due and time.monotonic() - self._refreshed_s > REFRESH_AT_MOST_EVERY_S:
            self._expired(held.generation)
