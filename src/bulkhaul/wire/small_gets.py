"""Fetches small objects one after the other over one connection: their requests, and the judging of their replies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol

from bulkhaul.wire.connections import Connections
from bulkhaul.wire.ending import Overtaken
from bulkhaul.wire.http1 import Begin, Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.reply import Headers, admit, failed_get
from bulkhaul.wire.request_log import RequestLog
from bulkhaul.wire.sigv4 import SharedParts, Signer
from bulkhaul.wire.small_exchanges import Rows, Small, SmallExchanges, Stopped
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import Sink
from bulkhaul.wire.twins import Twin
from bulkhaul.wire.values import GetRequest, Target

_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*")
"""Paths that stay as they are when they are percent-encoded."""


class Wanted(Small, Sink, Protocol):
    """One object that is fetched whole, on condition of its ETag, and where its body goes."""

    @property
    def request(self) -> GetRequest:
        """What is asked for."""
        ...

    def take_headers(self, headers: Headers) -> None:
        """Take the headers of a reply that was admitted, before its body. Raises nothing."""
        ...

    def arrived(self, etag: str) -> None:
        """All of the body has been received; ``etag`` is that of the reply. Raises nothing."""
        ...


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

    def sign_with(self, signer: Signer | None) -> None:
        """Sign with this from the next request on."""
        self._signer, self._shared, self._rest = signer, None, ""

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


class SmallGets(SmallExchanges[Wanted]):
    """What one connection fetches; an object whose reply is late may get a twin over another one.

    If the twin wins, this connection is closed, and what it would have fetched goes on over the next one.
    """

    def __init__(
        self,
        connection: Connection,
        encode: Callable[[GetRequest], bytes],
        rows: Rows[Wanted],
        watch: Watch,
        connections: Connections,
        target: Target,
        log: RequestLog,
    ) -> None:
        """Take a connection, what writes its requests, what is to be fetched, and where twins get their connections."""
        super().__init__(connection, rows, watch, connections.late, log)
        self._encode = encode
        self._connections = connections
        self._target = target
        self._twin: Twin | None = None
        self._kept: tuple[ReplyHead | None, BaseException | None] | None = None  # how the original ended before it

    def _start(self, one: Wanted) -> None:
        self._connection.start(self._encode(one.request), self._begin_original, self._original_ended)
        self._watch.late = self._is_late

    def _named(self, one: Wanted) -> tuple[str, str]:
        return "GET", self._target.url(one.request.key)

    def _judge(self, reply: ReplyHead) -> Sink:
        assert self._one is not None
        admit(self._one.request, reply.status, reply.headers, self._one)
        self._one.take_headers(reply.headers)
        self._status = reply.status
        return self._one

    def _begin_original(self, reply: ReplyHead) -> Sink:
        sink = self._judge(reply)
        if self._twin is not None:
            self._twin.drop()
        self._late.note(time.monotonic() - self._watch.began_s)
        return sink

    def _original_ended(self, reply: ReplyHead | None, error: BaseException | None) -> None:
        self._watch.late = None
        if self._twin is not None:
            if self._twin.goes_on:
                self._kept = reply, error
                return
            self._twin.drop()
            self._twin = None
        self._ended(reply, error)

    def _answered(self, one: Wanted, reply: ReplyHead) -> None:
        if 200 <= reply.status < 300:
            one.arrived(reply.headers.get("etag", ""))
        else:
            one.failed(failed_get(one.request, reply.status, reply.headers, self._connection.error_body))

    def _stop(self) -> None:
        twin, self._twin = self._twin, None
        if twin is not None:
            twin.drop()
        if self._kept is None:
            super()._stop()
        else:
            self._ended(None, Stopped())

    # The twin

    def _is_late(self) -> None:
        one = self._one
        assert one is not None

        async def fetch(connection: Connection, begin: Begin) -> ReplyHead:
            return await connection.exchange(self._encode(one.request), begin)

        self._twin = Twin(
            self._connections,
            self._target,
            fetch,
            self._judge,
            since_s=self._watch.began_s,
            overtakes=self._overtaken,
            on_end=self._twin_ended,
        )

    def _overtaken(self) -> None:
        self._connection.fail(Overtaken())

    def _twin_ended(self) -> None:
        twin, self._twin = self._twin, None
        kept, self._kept = self._kept, None
        assert twin is not None
        if twin.won:
            self._ended(twin.reply, twin.error)
        elif kept is not None:
            self._ended(*kept)
