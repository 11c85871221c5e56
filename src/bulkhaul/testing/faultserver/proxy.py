"""Passes requests on to a real server, and misbehaves on the way: what tests of other projects put before theirs.

A request and its reply are each held whole in memory while they pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.faults import Fault
from bulkhaul.testing.faultserver.http1 import HttpRequest, Reply
from bulkhaul.testing.faultserver.plan import Selection
from bulkhaul.testing.faultserver.replies import error_reply
from bulkhaul.testing.faultserver.server import PATIENCE_S, MisbehavingServer

_OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})
"""What a reply says of the connection that it came on. Source: RFC 9110, 7.6.1."""


class FaultServer(MisbehavingServer):
    """A server that answers as another one does, unless it was told to misbehave.

    Requests go on as they came, Host included, so a signature holds. Without ``with`` it does not listen.

    Args:
        behind_url: the server behind, such as ``http://127.0.0.1:9000``.
        faults: what it does from the beginning; ``misbehaving`` adds some for the length of a block.

    Attributes:
        endpoint_url: what clients are given in place of the other server's URL.
        requests: what was asked, in order of arrival.
    """

    def __init__(self, behind_url: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(faults)
        self._behind = urlsplit(behind_url).netloc

    async def perform(self, call: Call, body: bytes, selection: Selection) -> Reply:
        """Return what the server behind replies, unless a fault answers in its place."""
        request = selection.rewrite(replace(call.http, body=body))
        answer = selection.before()
        if answer is not None:
            return answer
        try:
            return await asyncio.to_thread(_passed_on, self._behind, request)
        except (OSError, http.client.HTTPException) as error:
            return error_reply(502, "BadGateway", f"no reply of {self._behind}: {error!r}", call.key, {})


@dataclass(frozen=True, slots=True)
class _Received:
    """The bytes of an object from ``start`` on that one reply holds.

    Attributes:
        size_bytes: of the whole object.
    """

    body: bytes
    start: int
    size_bytes: int

    def read(self, start: int, end: int) -> memoryview:
        """Return ``[start, end)`` of the object, which must lie within what was received."""
        return memoryview(self.body)[start - self.start : end - self.start]


def _passed_on(behind: str, request: HttpRequest) -> Reply:
    """Return the reply of the server behind."""
    connection = http.client.HTTPConnection(behind, timeout=PATIENCE_S)
    with contextlib.closing(connection):
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name not in ("transfer-encoding", "content-length"):
                connection.putheader(name, value)
        if request.body or "content-length" in request.headers or request.chunked:
            connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body or None)
        reply = connection.getresponse()
        body = reply.read()
    headers = [pair for pair in reply.getheaders() if pair[0].lower() not in _OF_ONE_CONNECTION]
    told = reply.getheader("Content-Length", "0") if request.method == "HEAD" else str(len(body))
    if reply.status not in (204, 304):
        headers.append(("Content-Length", told))
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", reply.getheader("Content-Range", "")) if reply.status == 206 else None
    start, size_bytes = (int(span[1]), int(span[2])) if span else (0, len(body))
    return Reply(reply.status, tuple(headers), _Received(body, start, size_bytes), start, start + len(body))
