"""Speaks HTTP/1.1 on one accepted socket: strict requests in, replies out.

The socket is plain, or TLS through memory BIOs, so that a ragged close and a reset are exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import select
import socket
import ssl
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

from bulkhaul.testing.faultserver.contents import BytesContent, Content

#: How a connection ends. "ragged" is a FIN without TLS close_notify; over plain TCP it is "close".
Ending = Literal["reset", "close", "ragged", "stall"]

MAX_HEAD_BYTES = 64 * 1024
_RECV_BYTES = 64 * 1024
#: How long a reset waits for the bytes before it to reach the peer.
_FLUSH_S = 0.5
_HANGUP_POLL_S = 0.01
_REQUEST_LINE = re.compile(rb"([A-Z]+) ([\x21-\x7e]+) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[\x21-\x7e\x80-\xff][ \t]*)*)")
_ONLY_ONCE = frozenset({"host", "content-length", "transfer-encoding", "range", "authorization", "if-match"})


class ProtocolError(Exception):
    """The client sent something that HTTP/1.1 does not allow."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: raw target, lower-case header names, and the body once it is here."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to use the connection again."""
        return self.headers.get("connection", "").lower() != "close"

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks of HTTP."""
        return self.headers.get("transfer-encoding", "").lower() == "chunked"

    @property
    def body_size_bytes(self) -> int | None:
        """How many bytes the body is announced to have; None if it is chunked."""
        return None if self.chunked else int(self.headers.get("content-length", "0"))

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for an interim reply before it sends the body."""
        return self.headers.get("expect", "").lower() == "100-continue" and self.body_size_bytes != 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as a value: what the head says, and ``[start, end)`` of a content as the body."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    content: Content = field(default_factory=lambda: BytesContent(b""))
    start: int = 0
    end: int = 0

    @property
    def length(self) -> int:
        """How many body bytes follow the head."""
        return self.end - self.start

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def with_header(self, name: str, value: str | None) -> tuple[tuple[str, str], ...]:
        """Return the headers with one replaced in its place, added, or (None) removed."""
        if value is not None and self.header(name) is None:
            return (*self.headers, (name, value))
        changed = ((key, value if key.lower() == name.lower() else old) for key, old in self.headers)
        return tuple((key, new) for key, new in changed if new is not None)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}


def head_bytes(reply: Reply) -> bytes:
    """Return the status line and headers as they go onto the wire."""
    lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def parse_head(block: bytes) -> HttpRequest:
    """Return the request whose head is ``block``, without its final empty line.

    Raises:
        ProtocolError: a line that RFC 9112 forbids, no Host, or a header that came twice.
    """
    first, *lines = block.split(b"\r\n")
    match = _REQUEST_LINE.fullmatch(first)
    if match is None:
        raise ProtocolError(f"request line {first!r}")
    headers: dict[str, str] = {}
    for line in lines:
        parsed = _FIELD.fullmatch(line)
        if parsed is None:
            raise ProtocolError(f"header line {line!r}")
        name, value = (parsed[1].decode("ascii").lower(), parsed[2].decode("latin-1").rstrip(" \t"))
        if name in headers and name in _ONLY_ONCE:
            raise ProtocolError(f"header {name} came twice")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if "host" not in headers:
        raise ProtocolError("no Host header")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise ProtocolError("both Transfer-Encoding and Content-Length")
    if not re.fullmatch(r"[0-9]{1,18}", headers.get("content-length", "0")):
        raise ProtocolError(f"Content-Length {headers['content-length']!r}")
    return HttpRequest(match[1].decode("ascii"), match[2].decode("ascii"), headers)


class Connection:
    """One accepted connection; every method is to be awaited by one task."""

    def __init__(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = None if tls is None else tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def open(self) -> None:
        """Do the TLS handshake, if there is TLS."""
        while self._tls is not None:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush_tls()
                self._feed_tls(await self._loop.sock_recv(self._sock, _RECV_BYTES))
        await self._flush_tls()

    async def read_head(self) -> HttpRequest | None:
        """Return the next request without its body, or None when the client has closed.

        Raises:
            ProtocolError: the request breaks RFC 9112.
            ConnectionError: the client went away in the middle of it.
        """
        while (stop := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                raise ProtocolError("head is too large")
            if not await self._receive():
                if self._received:
                    raise ConnectionAbortedError("closed in the middle of a head")
                return None
        request = parse_head(bytes(self._received[:stop]))
        del self._received[: stop + 4]
        return request

    async def body_pieces(self, request: HttpRequest) -> AsyncIterator[bytes]:
        """Yield the body of the request whose head was just read, in pieces of bounded size.

        Nothing is read ahead of what is asked for, and a client that waits for "100 Continue"
        gets it when the first piece is asked for.

        Raises:
            ProtocolError: the chunks break RFC 9112.
            ConnectionError: the client went away in the middle of it.
        """
        if request.expects_continue:
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.body_size_bytes is not None:
            async for piece in self._take_pieces(request.body_size_bytes):
                yield piece
            return
        while size := await self._take_chunk_size():
            async for piece in self._take_pieces(size):
                yield piece
            if await self._take(2) != b"\r\n":
                raise ProtocolError("chunk does not end in CRLF")
        while await self._take_line():
            pass

    async def write(self, data: bytes | memoryview) -> None:
        """Send all of ``data``; returns when the kernel has taken it."""
        if self._tls is None:
            await self._loop.sock_sendall(self._sock, data)
            return
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        await self._flush_tls()

    async def finish_sending(self) -> None:
        """Tell the client that nothing more will come, and go on receiving."""
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._flush_tls()
        self._sock.shutdown(socket.SHUT_WR)

    async def wait_until_gone(self) -> None:
        """Return when the client has closed or reset the connection; what it sends is dropped."""
        with contextlib.suppress(ConnectionError):
            while await self._loop.sock_recv(self._sock, _RECV_BYTES):
                pass

    async def wait_until_hung_up(self) -> None:
        """Return when the client has closed or reset the connection; nothing that it sent is read."""
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        while not poll.poll(0):  # noqa: ASYNC110 - asyncio has no event for a peer that hangs up unread
            await asyncio.sleep(_HANGUP_POLL_S)

    async def end(self, how: Ending) -> None:
        """Close: with an RST, orderly, or (TLS) without close_notify; "stall" waits for the client."""
        if how == "stall":
            await self.wait_until_gone()
        elif how == "reset":
            await self._wait_until_delivered()
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "close" and self._tls is not None:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError, ConnectionError):
                try:
                    self._tls.unwrap()
                finally:
                    await self._flush_tls()
        self.close()

    def close(self) -> None:
        """Close the socket at once."""
        self._sock.close()

    async def _receive(self) -> bool:
        while True:
            if self._tls is None:
                data = await self._loop.sock_recv(self._sock, _RECV_BYTES)
            else:
                try:
                    data = self._tls.read(_RECV_BYTES)
                except ssl.SSLWantReadError:
                    self._feed_tls(await self._loop.sock_recv(self._sock, _RECV_BYTES))
                    continue
                except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                    data = b""
            self._received += data
            return bool(data)

    async def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            if not await self._receive():
                raise ConnectionAbortedError("closed in the middle of a body")
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    async def _take_line(self) -> bytes:
        while (stop := self._received.find(b"\r\n")) < 0:
            if not await self._receive():
                raise ConnectionAbortedError("closed in the middle of a chunked body")
        return (await self._take(stop + 2))[:-2]

    async def _take_pieces(self, count: int) -> AsyncIterator[bytes]:
        while count:
            if not self._received and not await self._receive():
                raise ConnectionAbortedError("closed in the middle of a body")
            piece = bytes(self._received[:count])
            del self._received[:count]
            count -= len(piece)
            yield piece

    async def _take_chunk_size(self) -> int:
        text = (await self._take_line()).split(b";")[0]
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", text):
            raise ProtocolError(f"chunk size {text!r}")
        return int(text, 16)

    def _feed_tls(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush_tls(self) -> None:
        while data := self._outgoing.read():
            await self._loop.sock_sendall(self._sock, data)

    async def _wait_until_delivered(self) -> None:
        # An RST throws away what the kernel still holds, so let that reach the peer first.
        deadline_s = self._loop.time() + _FLUSH_S
        while self._loop.time() < deadline_s:
            waiting = struct.unpack("i", fcntl.ioctl(self._sock, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
            if waiting == 0:
                return
            await asyncio.sleep(0.001)
