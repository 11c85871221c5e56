"""Fetches small objects one after the other over one connection: their requests, and the judging of their replies."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Protocol

from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.reply import admit, failed_get
from bulkhaul.wire.sigv4 import SharedParts, Signer
from bulkhaul.wire.small_exchanges import Rows, Small, SmallExchanges
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.transport import Sink
from bulkhaul.wire.values import GetRequest, Target

_PLAIN = re.compile(r"[A-Za-z0-9/_.~-]*")
"""Paths that stay as they are when they are percent-encoded."""


class Wanted(Small, Sink, Protocol):
    """One object that is fetched whole, on condition of its ETag, and where its body goes."""

    @property
    def request(self) -> GetRequest:
        """What is asked for."""
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
    """What one connection fetches."""

    def __init__(
        self, connection: Connection, encode: Callable[[GetRequest], bytes], rows: Rows[Wanted], watch: Watch
    ) -> None:
        """Take a connection, what writes its requests, and what is to be fetched."""
        super().__init__(connection, rows, watch)
        self._encode = encode

    def _start(self, one: Wanted) -> None:
        self._connection.start(self._encode(one.request), self._judge, self._ended)

    def _judge(self, reply: ReplyHead) -> Sink:
        assert self._one is not None
        self._status = reply.status
        admit(self._one.request, reply.status, reply.headers, self._one)
        return self._one

    def _answered(self, one: Wanted, reply: ReplyHead) -> None:
        if 200 <= reply.status < 300:
            one.arrived(reply.headers.get("etag", ""))
        else:
            one.failed(failed_get(one.request, reply.status, reply.headers, self._connection.error_body))
