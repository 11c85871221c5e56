"""Makes small exchanges one after the other over one connection, without a task, a future or a timer for each.

    take ─▶ request ─▶ reply, judged as any other ─▶ its object has ended ─▶ take …

An object whose connection had been closed while it was idle is put back once; whatever else happens ends it.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.late_replies import LateReplies
from bulkhaul.wire.request_log import RequestLog, described, request_id
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import TransportError


class Small(Protocol):
    """One small object."""

    @property
    def place(self) -> int:
        """Which of the rows it is."""
        ...

    def failed(self, error: ErrorInfo | BaseException) -> None:
        """Take what it ends with: an error of the service or the network, or what its own methods raised."""
        ...


One = TypeVar("One", bound=Small)
One_co = TypeVar("One_co", bound=Small, covariant=True)


class Rows(Protocol[One_co]):
    """Small objects, one after the other."""

    def take(self) -> One_co | None:
        """Return the next one, None if no other is to be begun."""
        ...

    def put_back(self, place: int) -> None:
        """Take one back of which nothing was asked for yet."""
        ...


class Stopped(Exception):
    """The object is not wanted any more."""


class SmallExchanges(ABC, Generic[One]):
    """What one connection does, from one object to the next."""

    def __init__(
        self, connection: Connection, rows: Rows[One], watch: Watch, late: LateReplies, log: RequestLog
    ) -> None:
        """Take a connection that nobody else uses meanwhile.

        Args:
            watch: of the connection; it begins anew with each request.
            late: told of the trouble that the service is in.
            log: told of each request, if it is on.
        """
        self._connection = connection
        self._rows = rows
        self._watch = watch
        self._late = late
        self._log = log
        self._one: One | None = None
        self._status = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, first: One) -> None:
        """Begin with ``first``, and go on until the rows give no more or the connection has ended.

        A caller that is cancelled ends what is under way.
        """
        self._begin(first)
        try:
            await self._over
        except asyncio.CancelledError:
            self._over.cancel()
            if self._one is not None:
                self._stop()
            raise

    def _stop(self) -> None:
        """End the exchange under way, and its object with ``Stopped``."""
        self._connection.fail(Stopped())

    @abstractmethod
    def _start(self, one: One) -> None:
        """Send the request of an object; whatever it raises ends the object, before anything was sent."""

    @abstractmethod
    def _named(self, one: One) -> tuple[str, str]:
        """Return the method and the URL of the request under way."""

    @abstractmethod
    def _answered(self, one: One, reply: ReplyHead) -> None:
        """Take the whole reply."""

    def _begin(self, one: One | None) -> None:
        while one is not None:
            self._one, self._status = one, 0
            self._watch.begin_anew(self._connection, time.monotonic())
            try:
                self._start(one)
                return
            except Exception as error:  # noqa: BLE001 - it would end in a callback of the loop, and nobody would know
                self._one = None
                one.failed(error)
                one = self._rows.take()
        if not self._over.done():
            self._over.set_result(None)

    def _ended(self, reply: ReplyHead | None, error: BaseException | None) -> None:
        one, self._one = self._one, None
        assert one is not None
        if self._log.on:
            self._note(one, reply, error)
        if reply is not None:
            self._answered(one, reply)
            if reply.status >= 400:
                self._late.saw_status(reply.status)
        elif isinstance(error, ConnectionClosed) and error.stale:
            self._rows.put_back(one.place)
        elif error is not None:
            self._late.saw(error)
            one.failed(self._told(error))
        self._begin(self._rows.take() if self._connection.usable and not self._over.done() else None)

    def _note(self, one: One, reply: ReplyHead | None, error: BaseException | None) -> None:
        method, url = self._named(one)
        if reply is not None:
            self._log.note(method, url, self._watch.began_s, status=reply.status, request_id=request_id(reply))
        elif error is not None:
            self._log.note(method, url, self._watch.began_s, failure=described(error))

    def _told(self, error: BaseException) -> ErrorInfo | BaseException:
        if isinstance(error, TransportError):
            return error.info
        if not isinstance(error, ConnectionError | TimeoutError):
            return error
        info = network_error(error)
        # The connection broke after the head of the reply: the service can be reached.
        return msgspec.structs.replace(info, status=self._status) if info.code == "NetworkError" else info
