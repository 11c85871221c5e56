"""Makes one request to the service (HEAD, LIST …) by the least busy worker, and again as the one retry rule allows.

Retries, and the waits before them, are decided by ``Patience``, as for parts. If the worker dies, another one is asked.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.messages.messages import require_sound
from bulkhaul.engine.messages.request import Request
from bulkhaul.engine.messages.requests import REQUESTS, Answer, Early, Locate
from bulkhaul.engine.pool import retries
from bulkhaul.engine.pool.ceiling import bound_by_sdk
from bulkhaul.engine.pool.credentials import RefreshableCredentials
from bulkhaul.engine.pool.interface import Workers, WorkerState
from bulkhaul.engine.pool.round_trip import RoundTrips, WorkerGone
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import Cancelled, ErrorInfo, TransferError, WorkerDied, error_of
from bulkhaul.model.settings import Settings
from bulkhaul.policy.patience import Patience
from bulkhaul.wire.values import Credentials, Target

A = TypeVar("A")

DOUBTFUL = frozenset({"NetworkError", "StallTimeout", "ServerError", "UnexpectedReply", "WorkerDied"})
"""Failures of a request that may have taken effect all the same: no answer tells whether it has."""

LOOK_S = 0.25
"""How often a request that waits for an endpoint looks whether it is back."""


class Requests:
    """The requests of one engine to the service; listens to its workers."""

    def __init__(self, settings: Settings, workers: Workers, source: CredentialsSource | None = None) -> None:
        self._settings = settings
        self._workers = workers
        self._trips = RoundTrips(workers, settings.waits)
        self._credentials = RefreshableCredentials(workers, self._trips, source)
        self._loop = asyncio.get_running_loop()
        self._locating: dict[str, asyncio.Task[Target]] = {}
        self._slow = asyncio.Semaphore(settings.asked_at_once)

    @property
    def credentials(self) -> Credentials | None:
        """What requests are signed with since the first answer; None if they are not."""
        return self._credentials.current

    @property
    def resolved(self) -> bool:
        """Whether there are credentials, or none are needed, and no worker is being asked for them now."""
        return self._credentials.resolved

    @property
    def under_way(self) -> int:
        """Requests that wait for their answers."""
        return self._trips.under_way

    @property
    def answered_s(self) -> float:
        """Instant of the loop's clock when the service last answered otherwise than by an error."""
        return self._trips.answered_s

    async def target(self, bucket: str) -> Target:
        """Return where requests for a bucket go; it is asked once, however many want to know.

        Raises:
            TransferError: no request could be made at all.
        """
        known = self._trips.targets.get(bucket)
        if known is not None:
            return self._through(known)
        locating = self._locating.get(bucket)
        if locating is None:
            locating = self._locating[bucket] = asyncio.create_task(self._locate(bucket))
            located = functools.partial(self._located, bucket)
            locating.add_done_callback(self._workers.last_resort.guard(located))
        return await asyncio.shield(locating)  # a caller that is cancelled leaves it to the others

    async def _locate(self, bucket: str) -> Target:
        target = self._trips.targets[bucket] = await self.ask(Locate(bucket), f"s3://{bucket}")
        return self._through(target)

    def _through(self, target: Target) -> Target:
        """Return where requests go, with as many of them allowed as can go there."""
        if not target.fast:
            bound_by_sdk(self._workers.machine.window, self._settings, asyncio.get_running_loop().time())
        return target

    def _located(self, bucket: str, locating: asyncio.Task[Target]) -> None:
        del self._locating[bucket]
        if not locating.cancelled():
            locating.exception()  # retrieved, or asyncio would log it if no caller waits any more

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
        patience = Patience()
        doubtful, attempt = False, 0

        def doubt() -> None:
            nonlocal doubtful
            doubtful = True
            if on_doubt is not None:
                on_doubt()

        while True:
            attempt += 1
            self._credentials.renew_if_due()
            self._credentials.resolve_first()
            if doubtful and before_again is not None:
                await before_again()
                doubtful = False
            generation = 0
            try:
                worker = await self._trips.worker()
                held = self._credentials.current
                generation = held.generation if held else 0
                return await self._try(worker, request, memory_fd, on_early, attempt)
            except WorkerGone as gone:
                if gone.asked:
                    doubt()
                # Workers that are killed together are lost one by one: the second may have been dead when it was asked.
                if not gone.blameless and not patience.lost_worker(unsure=1):
                    deaths = f"{patience.deaths} workers died with this request"
                    raise WorkerDied(f"{deaths}, the last one by {self._workers.last_death}", subject) from None
            except TransferError as error:
                if error.info.code in DOUBTFUL and not error.info.unreached:
                    doubt()
                await self._wait_or_raise(error, patience, generation, subject, attempt)

    async def ask_each(self, requests: Sequence[Request[A]], memory_fds: Sequence[int]) -> list[A]:
        """Return the answers to requests of which each is made by a worker of its own, once.

        Raises:
            WorkerDied: a worker died before it answered.
            TransferError: the first failure; the other requests go on.
        """
        self._credentials.resolve_first()
        workers = await self._trips.workers(len(requests))
        trips = [
            self._trips.make(worker, request, fd)
            for worker, request, fd in zip(workers, requests, memory_fds, strict=True)
        ]
        try:
            return await asyncio.gather(*trips)
        except WorkerGone:
            raise WorkerDied(f"a worker died, by {self._workers.last_death}") from None

    async def _try(
        self,
        worker: int,
        request: Request[A],
        memory_fd: int,
        on_early: Callable[[str], None] | None,
        attempt: int,
    ) -> A:
        """Make a request once, as soon as it may go out."""
        if not request.sent:
            return await self._trips.make(worker, request, memory_fd, attempt=attempt)
        if request.line == "slow":
            answer = await self._make_whole(request, memory_fd, attempt)
        else:
            await self._admitted(ending=request.line == "ending")
            answer = await self._trips.make(await self._trips.worker(), request, memory_fd, on_early, attempt=attempt)
        self._workers.machine.host.answered()
        return answer

    async def _wait_or_raise(
        self, error: TransferError, patience: Patience, generation: int, subject: str, attempt: int
    ) -> None:
        """Wait as long as a failed request has to, or raise what it ends with.

        Args:
            generation: of the credentials that it was signed with.
            attempt: which try has failed.
        """
        machine, requests = self._workers.machine, self._trips.under_way + 1
        wait = machine.request_failed(patience, error.info, self._loop.time(), requests=requests)
        if isinstance(wait, ErrorInfo):
            raise error_of(wait).about(subject) from error
        retries.tell(error.info, subject, attempt, wait)
        if error.info.code == "ExpiredCredentials":
            await self._credentials.renew(generation)
            if self._credentials.failure is not None:
                raise self._credentials.failure.about(subject) from error
        elif wait:
            await self._trips.pause(wait)

    async def _admitted(self, *, ending: bool = False) -> None:
        """Wait until a request may go out: a pause at a time while the endpoint is away, or has asked for calm."""
        machine = self._workers.machine
        while (wait_s := machine.host.admit(self._loop.time(), ending=ending)) and self._trips.closed is None:
            await self._trips.pause(min(wait_s, LOOK_S))  # it may be back before

    async def _make_whole(self, request: Request[A], memory_fd: int, attempt: int) -> A:
        """Make a request that takes long and changes something: a few at a time, and never left while it is under way.

        A cancelled caller waits until the request has ended: only then can what it did be undone.
        """
        async with self._slow:
            await self._admitted()  # the endpoint may have gone away while this one waited for its turn
            trip = self._trips.make(await self._trips.worker(), request, memory_fd, attempt=attempt)
            return await undisturbed(trip)

    def close(self) -> None:
        """End every request, those under way and those that are made from now on, with Cancelled."""
        self.fail(Cancelled("the engine was closed"))

    # What the workers tell

    def answered(self, message: Answer | Early) -> None:
        """A worker says something of a request."""
        self._trips.answered(message)

    def worker_changed(self, worker: int, state: WorkerState) -> None:
        """A worker has become able to do something, or is dead."""
        self._trips.worker_changed(worker, state)
        if self._trips.waiting:
            self._credentials.resolve_first()

    def credentials_expired(self, generation: int) -> None:
        """A service has refused the credentials of a part as expired."""
        self._credentials.renew_soon(generation)

    def fail(self, error: TransferError) -> None:
        """End every request with an error, those that are made from now on as well."""
        self._trips.fail(error)
