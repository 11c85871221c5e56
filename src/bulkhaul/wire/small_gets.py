"""Fetches small objects one after the other over one connection, without a task, a future or a timer for each.

    take ─▶ request ─▶ head, judged as any reply to a GET ─▶ body into the object's sink ─▶ arrived, or failed ─▶ take …

An object whose connection had been closed while it was idle is put back once; whatever else happens ends it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.reply import admit, failed_get
from bulkhaul.wire.sigv4 import SharedParts, Signer
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import Sink, TransportError
from bulkhaul.wire.values import GetRequest, Target

_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*")
"""Paths that stay as they are when they are percent-encoded."""


class Wanted(Sink, Protocol):
    """One object that is fetched whole, on condition of its ETag, and where its body goes."""

    @property
    def request(self) -> GetRequest:
        """What is asked for."""
        ...

    @property
    def place(self) -> int:
        """Which of the rows it is."""
        ...

    def arrived(self, etag: str) -> None:
        """All of the body has been received; ``etag`` is that of the reply. Raises nothing."""
        ...

    def failed(self, error: ErrorInfo | BaseException) -> None:
        """Take what the object ends with: an error of the service or the network, or what the sink raised."""
        ...


class Rows(Protocol):
    """Objects to fetch."""

    def take(self) -> Wanted | None:
        """Return the next one, None if no other is to be begun."""
        ...

    def put_back(self, place: int) -> None:
        """Take one back of which nothing was asked for yet."""
        ...


class Stopped(Exception):
    """The object is not wanted any more."""


class SmallRequests:
    """Writes the GETs of small objects to one target: what they share is put together once a second."""

    def __init__(
        self,
        target: Target,
        signer: Signer | None,
        *,
        headers: tuple[tuple[str, str], ...],
        user_agent: str,
        learned: Learned,
    ) -> None:
        """Take what goes into every request; without a signer they go unsigned."""
        self._target = target
        self._signer = signer
        self._headers = headers
        self._user_agent = user_agent
        self._learned = learned
        self._manner = (False, False)
        self._shared: SharedParts | None = None
        self._rest = ""

    def encode(self, request: GetRequest) -> bytes:
        """Return a request for the whole object."""
        now_s, manner = time.time(), self._learned.manner(self._target.host)
        shared = self._shared
        if manner != self._manner or not self._rest or (shared is not None and int(now_s) != shared.second):
            self._share(manner, now_s)
            shared = self._shared
        key = request.key
        path = self._target.path_prefix + key if _PLAIN.fullmatch(key) else self._target.path(key)
        if shared is None:
            return f"GET {path} HTTP/1.1\r\nif-match: {request.etag}\r\n{self._rest}".encode("latin-1")
        return (shared.request(path, request.etag) + self._rest).encode("latin-1")

    def _share(self, manner: tuple[bool, bool], now_s: float) -> None:
        asks_checksum, packed = self._manner = manner
        headers = list(self._headers)
        if asks_checksum:
            headers.append((CHECKSUM_MODE, "ENABLED"))
        # Not signed: Google's front ends change it on the way.
        unsigned = "accept-encoding: gzip\r\n" if packed else ""
        self._rest = f"{unsigned}user-agent: {self._user_agent}\r\n\r\n"
        if self._signer is not None:
            self._shared = self._signer.shared("GET", self._target.host_header, headers, "if-match", now_s=now_s)
        else:
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
            self._rest = f"{lines}host: {self._target.host_header}\r\n{self._rest}"


class SmallGets:
    """What one connection fetches, from one object to the next."""

    def __init__(self, connection: Connection, encode: Callable[[GetRequest], bytes], rows: Rows, watch: Watch) -> None:
        """Take a connection that nobody else uses meanwhile.

        Args:
            watch: of the connection; it begins anew with each request.
        """
        self._connection = connection
        self._encode = encode
        self._rows = rows
        self._watch = watch
        self._one: Wanted | None = None
        self._status = 0
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, first: Wanted) -> None:
        """Fetch ``first``, and then what the rows give, until they give no more or the connection has ended.

        A caller that is cancelled ends what is under way.
        """
        self._begin(first)
        try:
            await self._over
        except asyncio.CancelledError:
            self._over.cancel()
            if self._one is not None:
                self._connection.fail(Stopped())
            raise

    def _begin(self, one: Wanted | None) -> None:
        while one is not None:
            try:
                request = self._encode(one.request)
            except Exception as error:  # noqa: BLE001 - it would end in a callback of the loop, and nobody would know
                one.failed(error)
                one = self._rows.take()
                continue
            self._one, self._status = one, 0
            self._watch.begin_anew(self._connection, time.monotonic())
            self._connection.start(request, self._judge, self._ended)
            return
        if not self._over.done():
            self._over.set_result(None)

    def _judge(self, reply: ReplyHead) -> Sink:
        assert self._one is not None
        self._status = reply.status
        admit(self._one.request, reply.status, reply.headers, self._one)
        return self._one

    def _ended(self, reply: ReplyHead | None, error: BaseException | None) -> None:
        one, self._one = self._one, None
        assert one is not None
        if reply is not None:
            if 200 <= reply.status < 300:
                one.arrived(reply.headers.get("etag", ""))
            else:
                one.failed(failed_get(one.request, reply.status, reply.headers, self._connection.error_body))
        elif isinstance(error, ConnectionClosed) and error.stale:
            self._rows.put_back(one.place)
        elif error is not None:
            one.failed(self._told(error))
        self._begin(self._rows.take() if self._connection.usable and not self._over.done() else None)

    def _told(self, error: BaseException) -> ErrorInfo | BaseException:
        if isinstance(error, TransportError):
            return error.info
        if not isinstance(error, ConnectionError | TimeoutError):
            return error
        info = network_error(error)
        # The connection broke after the head of the reply: the service can be reached.
        return msgspec.structs.replace(info, status=self._status) if info.code == "NetworkError" else info
