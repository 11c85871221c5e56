"""One HTTP/1.1 connection: sends a request, and moves bodies from and to the caller's memory; it must not know S3.

    IDLE ──send──▶ HEAD ──header block, interim 1xx skipped──▶ BODY ──last byte──▶ IDLE
      any byte in IDLE, anything malformed, any doubt: the connection is closed and never used again

It is an asyncio.BufferedProtocol: the socket reads a body into the caller's own memory, and writes it from there, so
that the kernel copies each byte once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

from bulkhaul.wire.ending import Callback, ConnectionClosed, OnEnd, look_at
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.http1_parsing import MAX_ERROR_BYTES, Document, ProtocolError, ReplyHead, parse_head
from bulkhaul.wire.pauses import Pauses
from bulkhaul.wire.pieces import PieceSize
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.told import MAX_HEAD_BYTES
from bulkhaul.wire.transport import NotSpoken, OnSent, Sink

MIN_HEAD_READ_BYTES = 4 * 1024
"""Bytes read at once while a head is awaited, if the bandwidth is limited: enough for a header block, little body."""

_END = b"\r\n\r\n"

Begin = Callable[[ReplyHead], Sink]
"""Judges the head of a 2xx reply and returns where its body goes; raises to refuse the reply."""


class Connection(asyncio.BufferedProtocol):
    """A connection, and the exchange that is under way on it.

    Attributes:
        bytes_in: count of all bytes received; a watcher compares it to notice a stall.
        bytes_out: count of all bytes of bodies that have left.
        pauses: of its reading; a sink without room holds it.
        sending: whether a body is being sent; after that the reply is awaited.
        usable: whether another request may be sent.
    """

    def __init__(
        self, throttle: Throttle | None = None, first_bytes: FirstBytes | None = None, scratch: bytearray | None = None
    ) -> None:
        """Take what connections of a loop share; no head stays in ``scratch`` from one read to the next."""
        self._first_bytes = first_bytes
        self._asked_s = 0.0  # when the last byte of the request left; 0 if nobody wants to know
        self.bytes_in = self.bytes_out = 0
        self._throttle = throttle
        self.pauses = Pauses(throttle)
        self._piece_bytes = 0
        self.sending = False
        self._room = asyncio.Event()
        self._room.set()
        self._full = False
        self.usable = False
        self.idle_since_s = 0.0
        self._exchanges = 0
        self._bytes_before = 0
        self._transport: asyncio.Transport | None = None
        self._tls = False
        self._done: asyncio.Future[ReplyHead] | Callback | None = None
        self._head_bytes = bytearray(MAX_HEAD_BYTES) if scratch is None else scratch
        self._head_begun = b""  # what came of a head that is not whole
        self._head = memoryview(self._head_bytes)
        self._filled = 0
        self._begin: Begin | None = None
        self._reply: ReplyHead | None = None
        self._sink: Sink | None = None
        self._remaining = 0
        self._document: Document | None = None
        self._most_bytes = MAX_ERROR_BYTES
        self._bodiless = False
        self.error_body = b""

    @property
    def moved_bytes(self) -> int:
        """Count of all bytes received and sent; over plain TCP including the sent bytes of an unfinished piece."""
        leaving = 0
        if self._piece_bytes and self._transport is not None and not self._tls:
            leaving = max(0, self._piece_bytes - self._transport.get_write_buffer_size())
        return self.bytes_in + self.bytes_out + leaving

    async def exchange(self, request: bytes, begin: Begin) -> ReplyHead:
        """Send a request and receive its reply; the sink that ``begin`` returns takes the body of a 2xx reply.

        Returns:
            The head of the reply. For other replies ``error_body`` holds the beginning of the body.

        Raises:
            ConnectionError: the reply is incomplete; if ``ConnectionClosed.stale``, the request may be sent again.
            NotSpoken: the reply is framed in a way that this connection does not read.
            Whatever ``begin`` or its sink raises.
        """
        assert self._transport is not None
        done = self._promised(begin)
        try:
            self._transport.write(request)
            self._asked_s = time.monotonic()
            return await self._reply_of(done)
        except BaseException:
            self.close()
            raise
        finally:
            self._done = self._begin = self._sink = self._document = None
            look_at(done)

    async def ask(self, request: bytes, *, bodiless: bool, most_bytes: int) -> ReplyHead:
        """Send a request, its small body included, and receive the whole reply; ``error_body`` then holds its body.

        Args:
            bodiless: the reply has none, whatever its headers announce: it is one to HEAD.
            most_bytes: of the body of a 2xx reply; of others the beginning is kept.

        Raises:
            ConnectionError: the reply is incomplete; if ``ConnectionClosed.stale``, the request may be sent again.
            DocumentTooLong: it is longer than ``most_bytes``.
        """
        assert self._transport is not None
        done = self._promised(None)
        self._bodiless, self._most_bytes = bodiless, most_bytes
        try:
            self._transport.write(request)
            reply = await self._reply_of(done)
            if 200 <= reply.status < 300 and self._document is not None:
                self._document.require_whole()
            return reply
        except BaseException:
            self.close()
            raise
        finally:
            self._bodiless, self._most_bytes = False, MAX_ERROR_BYTES
            self._done = self._document = None
            look_at(done)

    def start(self, request: bytes, begin: Begin | None, on_end: OnEnd, body: bytes = b"") -> None:
        """Do what ``exchange`` does, or ``send`` with a small body, and call back at the end.

        Args:
            begin: judges a 2xx reply; None if ``error_body`` is to hold what every reply says.
            on_end: called with what ``exchange`` would return or raise; it must not raise anything itself.
        """
        assert self._transport is not None
        self._done = Callback(self.close, on_end)
        self._ready(begin)
        if not body:
            self._asked_s = time.monotonic()
            self._transport.write(request)
            return
        self._transport.set_write_buffer_limits(high=1, low=0)  # as in ``send``
        self._piece_bytes, self.sending = len(body), True
        self._transport.writelines((request, body))
        if not self._full:
            self._body_left()

    def _body_left(self) -> None:
        """Count a small body that has left."""
        self.bytes_out += self._piece_bytes
        self._piece_bytes, self.sending = 0, False
        self._asked_s = time.monotonic()

    async def send(self, request: bytes, body: memoryview, on_sent: OnSent) -> ReplyHead:
        """Send a request with its body; ``error_body`` then holds the beginning of the reply's, whatever its status.

        A reply that comes before the whole body has left ends the exchange, and the connection with it.

        Args:
            on_sent: called with the number of bytes that have left and that are left; raises to break the body off.

        Raises:
            ConnectionError: the reply is incomplete; if ``ConnectionClosed.stale``, the request may be sent again.
            Whatever ``on_sent`` raises.
        """
        assert self._transport is not None
        done = self._promised(None)
        # A reply that comes early ends the wait for room: the peer may never read the rest of the body.
        done.add_done_callback(lambda _: self._room.set())
        self.sending = True
        try:
            # low=0: resume_writing means that everything has left. high=1: with 0, uvloop's TLS would pause for ever.
            self._transport.set_write_buffer_limits(high=1, low=0)
            self._transport.write(request)
            whole = await self._send_body(body, done, on_sent)
            self.sending = False
            self._asked_s = time.monotonic()
            reply = await self._reply_of(done)
            if not whole:
                self.close()
            return reply
        except BaseException:
            self.close()
            raise
        finally:
            self.sending = False
            self._piece_bytes = 0
            self._done = self._document = None
            look_at(done)

    def _promised(self, begin: Begin | None) -> asyncio.Future[ReplyHead]:
        done = self._done = asyncio.get_running_loop().create_future()
        self._ready(begin)
        return done

    def _ready(self, begin: Begin | None) -> None:
        self._begin, self._reply, self._sink, self._document = begin, None, None, None
        self._filled = self._remaining = 0
        self._asked_s, self._head_begun = 0.0, b""
        self.error_body = b""
        self._exchanges += 1
        self._bytes_before = self.bytes_in

    async def _reply_of(self, done: asyncio.Future[ReplyHead]) -> ReplyHead:
        reply = await done
        if not reply.keep_alive:
            self.close()
        return reply

    async def _send_body(self, body: memoryview, done: asyncio.Future[ReplyHead], on_sent: OnSent) -> bool:
        """Hand the body to the socket, piece by piece; False if a reply came before its end."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        start, now_s = 0, loop.time()
        size = PieceSize(tls=self._tls, most=None if self._throttle is None else self._throttle.piece_bytes)
        while start < len(body):
            if done.done():
                return False
            piece = body[start : start + size.bytes]
            if start + len(piece) == len(body):
                on_sent(start, len(piece))  # the last call before the peer has the whole body
            self._piece_bytes = len(piece)
            self._transport.write(piece)
            await self._room.wait()
            if self._full:
                return False
            start += len(piece)
            self.bytes_out += len(piece)
            self._piece_bytes = 0
            on_sent(start, len(body) - start)
            if self._throttle is not None:
                await asyncio.sleep(self._throttle.moved(len(piece)))
            began_s, now_s = now_s, loop.time()
            size.after(now_s - began_s)
        return True

    def close(self) -> None:
        """Close at once, and drop unread bytes."""
        self.usable = False
        self.pauses.end()
        if self._transport is not None:
            self._transport.abort()

    def fail(self, error: BaseException) -> None:
        """End the exchange with ``error`` and close; called by the watcher of a stall."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
        self._room.set()
        self.close()

    # asyncio.BufferedProtocol

    def pause_writing(self) -> None:
        """Called by the loop while some of what was written has not left."""
        self._full = True
        self._room.clear()

    def resume_writing(self) -> None:
        """Called by the loop when everything has left."""
        self._full = False
        self._room.set()
        if isinstance(self._done, Callback):
            self._body_left()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        self.pauses.begin(self._transport)
        self._tls = transport.get_extra_info("ssl_object") is not None
        self.usable = True

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the protocol's signature
        """Return where the next bytes go: the sink's space, or the buffer for header blocks."""
        if self._sink is not None:
            most = self._remaining if self._throttle is None else min(self._remaining, self._throttle.piece_bytes)
            return self._sink.space()[:most]
        if self._head_begun:
            self._head[: self._filled] = self._head_begun
        room = self._head if self._document is not None else self._head[self._filled :]
        return room if self._throttle is None else room[: max(MIN_HEAD_READ_BYTES, self._throttle.piece_bytes)]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop with the number of bytes that came."""
        self.bytes_in += nbytes
        if self._done is None or self._done.done():
            self.close()  # bytes without a request
            return
        try:
            if self._sink is not None:
                self._sink.received(nbytes)
                self.pauses.moved(nbytes)
                self._body_came(nbytes)
            elif self._document is not None:
                self._document_came(bytes(self._head[:nbytes]))
            else:
                self._filled += nbytes
                self._head_came()
        except BaseException as error:  # noqa: BLE001 - it is raised where the exchange is awaited
            self.fail(error)

    def eof_received(self) -> bool:
        """Called by the loop when the peer sends no more: close."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop when the connection is gone."""
        self.usable = False
        self._room.set()  # end the wait for room: the exchange's future tells why nothing leaves any more
        if self._document is not None and self._reply is not None and exc is None:
            if not self._reply.headers.keys() & {"content-length", "transfer-encoding"}:
                self._document.end()
            self._document_ends()  # a document may end with its connection
        if self._done is not None and not self._done.done():
            stale = self._exchanges > 1 and self.bytes_in == self._bytes_before
            missing = f", {self._remaining} bytes short" if self._remaining else ""
            self._done.set_exception(ConnectionClosed(f"{exc or 'the connection was closed'}{missing}", stale=stale))

    # The reply

    def _head_came(self) -> None:
        while (end := self._head_bytes.find(_END, 0, self._filled)) >= 0:
            block = bytes(self._head[: end + len(_END)])
            reply = parse_head(block)
            early = self._head[end + len(_END) : self._filled]
            if 100 <= reply.status < 200:
                if reply.status == 101:
                    raise ProtocolError("the endpoint switched protocols")
                self._head[: len(early)] = early
                self._filled = len(early)
                continue
            self._body_begins(reply, block, early)
            return
        self._head_begun = bytes(self._head[: self._filled])
        if self._filled == MAX_HEAD_BYTES:
            raise ProtocolError(f"a header block of more than {MAX_HEAD_BYTES} bytes")

    def _body_begins(self, reply: ReplyHead, block: bytes, early: memoryview) -> None:
        self._reply, self._head_begun = reply, b""
        if self._asked_s and self._first_bytes is not None and 200 <= reply.status < 300:
            self._first_bytes.note(time.monotonic() - self._asked_s)
        length = reply.headers.get("content-length", "")
        if self._bodiless:
            reply.keep_alive = reply.keep_alive and not early
            if self._done is not None:
                self._done.set_result(reply)
            return
        if self._begin is None or not 200 <= reply.status < 300:
            self._document = Document(block, self._most_bytes if 200 <= reply.status < 300 else MAX_ERROR_BYTES)
            self._document_came(bytes(early))
            return
        if "transfer-encoding" in reply.headers or not (length.isascii() and length.isdigit()):
            raise NotSpoken(f"a reply with status {reply.status} that is not framed by Content-Length")
        sink = self._begin(reply)
        self._sink, self._remaining = sink, int(length)
        if len(early) > self._remaining:
            reply.keep_alive = False  # more than announced: this reply is whole, but the next would not begin here
            early = early[: self._remaining]
        count = len(early)
        while early:
            space = sink.space()
            now = min(len(space), len(early))
            space[:now] = early[:now]
            sink.received(now)
            early = early[now:]
        self.pauses.moved(count)
        self._body_came(count)

    def _document_came(self, data: bytes) -> None:
        """Read on in an error document."""
        assert self._document is not None
        if self._document.read(data):
            self._document_ends()

    def _document_ends(self) -> None:
        if self._done is not None and not self._done.done() and self._reply and self._document:
            self.error_body = bytes(self._document.body[: self._document.most_bytes])
            # Only a plain framing that was read to its end leaves no doubt where the next reply begins.
            headers, document = self._reply.headers, self._document
            framed = "transfer-encoding" in headers or headers.get("content-length") == str(len(document.body))
            self._reply.keep_alive &= framed and document.complete and not document.garbled and not self._full
            self._done.set_result(self._reply)

    def _body_came(self, count: int) -> None:
        self._remaining -= count
        if self._remaining == 0 and self._done is not None and self._reply is not None:
            self._sink = None
            self._filled = 0
            self._done.set_result(self._reply)
