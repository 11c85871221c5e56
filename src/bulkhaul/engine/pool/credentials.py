"""Keeps the credentials that all workers sign with: resolved by one worker or by the program, renewed ahead."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING

import msgspec

from bulkhaul.engine.messages.requests import FIRST_GENERATION, Resolve
from bulkhaul.engine.pool.interface import Workers
from bulkhaul.engine.pool.round_trip import RoundTrips, WorkerGone
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import TransferError
from bulkhaul.policy.events import CredentialsReplaced
from bulkhaul.policy.pacing import backoff_s
from bulkhaul.wire.values import Credentials

if TYPE_CHECKING:
    from bulkhaul.engine.pool.given_credentials import GivenSource

_log = logging.getLogger("bulkhaul.credentials")

REFRESH_AHEAD_S = 600.0
"""Credentials are renewed this long before they end. Source: botocore's mandatory refresh window."""

REFRESH_AT_MOST_EVERY_S = 60.0

REFRESH_ATTEMPTS = 3
"""How often the chain is asked when it fails; a worker may die with the request, a metadata service may be slow."""


def told(credentials: Credentials | None) -> str:
    """Say what requests are signed with, and where that came from; never a key."""
    if credentials is None:
        return "none: requests are sent unsigned, as asked for"
    from bulkhaul.policy.findings import masked  # few runs log

    ends_s = credentials.expires_s - time.time()
    ends = f", which ends in {ends_s / 60:.0f} min" if credentials.expires_s else ""
    return f"access key {masked(credentials.access_key)} from {credentials.source or 'an unknown source'}{ends}"


class RefreshableCredentials:
    """The credentials of one engine.

    Attributes:
        current: what requests are signed with; None before the first answer, and where they are not signed.
        failure: why the program gave none when it was last asked; None where it did, and where a worker is asked.
    """

    def __init__(self, workers: Workers, trips: RoundTrips, source: CredentialsSource | None = None) -> None:
        """Ask nobody yet.

        Args:
            source: what the program has given; None to have a worker ask the chain.
        """
        self.failure: TransferError | None = None
        self._source = source
        self._given: GivenSource | None = None  # it, once it was asked
        self.current: Credentials | None = None
        self._workers = workers
        self._trips = trips
        self._rng = random.Random()  # noqa: S311 - jitter, no secret
        self._resolved = False
        self._refreshed_s = 0.0
        self._resolving: asyncio.Task[None] | None = None
        self._background: asyncio.Task[None] | None = None

    @property
    def resolved(self) -> bool:
        """Whether there are credentials, or none are needed, and no worker is being asked for them now."""
        return self._resolved and self._resolving is None

    def resolve_first(self) -> None:
        """Have one worker ask the chain for all of them, unless that is done or under way.

        If it fails, the requests that wait fail with it, and the next one has it asked again.
        """
        trips = self._trips
        if not self._resolved and trips.closed is None and self._resolving is None and trips.configured:
            self._resolve_by(trips.configured[0], FIRST_GENERATION)

    def _resolve_by(self, worker: int, generation: int) -> None:
        self._resolving = asyncio.create_task(self._resolve(worker, generation))
        self._workers.last_resort.watch(self._resolving)

    async def _resolve(self, worker: int, generation: int) -> None:
        try:
            if self._source is None:
                credentials = await self._trips.make(worker, Resolve(generation))
            else:
                from bulkhaul.engine.pool.given_credentials import GivenSource  # few programs give any

                self._given = self._given or GivenSource(self._source)
                credentials = await self._given.asked(generation, deadline_s=self._trips.ask_s)
            self.failure = None
        except TransferError as error:
            if not self._resolved:
                self._trips.refuse(error)
            elif self._source is not None:
                self.failure = error
                _log.warning("the credentials could not be renewed: %s", error)
            return
        except WorkerGone:
            self._resolving = None
            self.resolve_first()  # by another one; this one's death was told while it was being asked
            return
        finally:
            if self._resolving is asyncio.current_task():
                self._resolving = None
        if _log.isEnabledFor(logging.INFO):
            _log.info("%s", told(credentials))
        self._resolved = True
        self._refreshed_s = time.monotonic()
        self.current = credentials
        self._workers.sign_with(credentials)

    async def renew(self, generation: int) -> None:
        """Have credentials newer than ``generation``; however many ask, the chain is asked once.

        It always ends in a newer generation: where the chain gives nothing newer, the old ones get a new number. The
        service then refuses them again, and says why.
        """
        for attempt in range(1, REFRESH_ATTEMPTS + 1):
            if self.current is not None and self.current.generation > generation:
                return  # the refusal came late: they were renewed meanwhile
            if self._resolving is None and self._trips.usable and self.current is not None:
                self._resolve_by(self._trips.least_busy(), generation + 1)
            if self._resolving is not None:
                await asyncio.wait([self._resolving])
            if self.current is None or self.current.generation > generation:
                break
            if attempt < REFRESH_ATTEMPTS:
                await self._trips.pause(backoff_s(attempt + 2, self._rng))
        if self.current is None:
            self._workers.handle(CredentialsReplaced(generation + 1))
        elif self.current.generation <= generation:
            self.current = msgspec.structs.replace(self.current, generation=generation + 1)
            self._workers.sign_with(self.current)

    def renew_soon(self, generation: int) -> None:
        """Like ``renew``, in the background."""
        self._background = asyncio.create_task(self.renew(generation))
        self._workers.last_resort.watch(self._background)

    def renew_if_due(self) -> None:
        """Renew credentials that end soon, in the background."""
        held = self.current
        if held is None or not held.expires_s or self._resolving is not None:
            return
        due = held.expires_s - time.time() < REFRESH_AHEAD_S
        if due and time.monotonic() - self._refreshed_s > REFRESH_AT_MOST_EVERY_S:
            self.renew_soon(held.generation)
