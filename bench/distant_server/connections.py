"""Sockets, timers and the pace of each connection, in one thread around one epoll.

    request has come ──latency (+ jitter)──▶ reply begins ──rate──▶ reply ends

A *timer* is an entry of a heap; ``select`` waits for the next one, because it knows microseconds and epoll's
own wait only milliseconds. Each connection has an instant up to which its rate is used up (``free_at_s``):
whoever comes late catches up, but never for more than BURST_S. At most QUANTUM_BYTES go ahead of the rate.

Interim replies (100 Continue) come at once, and so do handshakes: what is far away is the service.
"""

from __future__ import annotations

import heapq
import os
import random
import select
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

from .content import PERIOD_BYTES, Content
from .distance import Counters, Distance
from .requests import HttpChunks, Request, parse, trailer_of
from .service import Reply, Service

QUANTUM_BYTES = 256 << 10
BURST_S = 0.02
TOGETHER_BYTES = 64 << 10  # up to here head and body go out by one call, which copies
HEAD_BYTES = 64 << 10  # most of one read of heads
TAIL_BYTES = 1024  # kept of every uploaded body, for the trailer of aws-chunked
UNKNOWN_BYTES = 1 << 62  # left of a body whose end its framing will tell
BACKLOG = 4096
EVENTS = 256  # most of one poll
GONE = select.EPOLLERR | select.EPOLLHUP
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)


class Connection:
    """One connection: reads a request, has its reply timed, sends it, and begins again."""

    __slots__ = (
        "_body", "_body_left", "_chunks", "_due_s", "_free_at_s", "_head", "_loop", "_masked", "_reply", "_request",
        "_sent", "_tail", "file", "is_open", "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, loop: Loop) -> None:
        self.sock = sock
        self.file = sock.fileno()
        self.is_open = True
        self._loop = loop
        self._head = b""
        self._request: Request | None = None
        self._chunks: HttpChunks | None = None
        self._body: bytearray | None = None
        self._tail = b""
        self._body_left = 0
        self._free_at_s = 0.0
        self._due_s = 0.0
        self._reply: Reply | None = None
        self._sent = 0
        self._masked = select.EPOLLIN

    def on_event(self, now_s: float) -> None:
        """Go on: something can be read, or written, or the pace allows it again."""
        if not self.is_open:
            return
        try:
            if self._reply is not None:
                self._send(now_s)
            elif self._body_left:
                self._read_body(now_s)
            else:
                self._read_head(now_s)
        except (ConnectionError, ssl.SSLError, ValueError):
            self.close()

    def close(self) -> None:
        """Forget the connection."""
        if self.is_open:
            self.is_open = False
            self._loop.forget(self)
            with suppress(OSError):
                self.sock.close()

    def _watch(self, mask: int) -> None:
        if mask != self._masked:
            self._masked = mask
            self._loop.epoll.modify(self.file, mask)

    def _read_head(self, now_s: float) -> None:
        try:
            data = self.sock.recv(HEAD_BYTES)
        except WAITING:
            return
        if not data:
            self.close()
            return
        self._head = self._head + data if self._head else data
        if self._request is None:  # else: it speaks before it was answered, and is heard afterwards
            self._begin(now_s)

    def _begin(self, now_s: float) -> None:
        """Begin the request whose head is there, if it is whole."""
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        try:
            request = self._request = parse(self._head[:end])
        except ValueError:
            self.close()
            return
        rest, self._head = self._head[end + 4 :], b""
        self._chunks = HttpChunks() if request.headers.get("transfer-encoding", "").lower() == "chunked" else None
        left = request.content_length if self._chunks is None else UNKNOWN_BYTES
        if not left:
            request.body = b"" if self._loop.service.wants_body(request) else None
            self._head = rest
            self._time_reply(now_s)
            return
        if request.headers.get("expect", "").lower() == "100-continue" and not rest:
            self.sock.send(CONTINUE)
        self._body = bytearray() if self._loop.service.wants_body(request) else None
        self._tail = b""
        request.size_bytes = int(request.headers.get("x-amz-decoded-content-length", left))
        self._body_left = left
        first, self._head = rest[:left], rest[left:]
        self._free_at_s = max(self._free_at_s, now_s)
        if first:
            self._took(memoryview(first), now_s)
        if self._body_left:
            self._read_body(now_s)

    def _read_body(self, now_s: float) -> None:
        loop = self._loop
        while self._body_left:
            if self._free_at_s > now_s:
                self._watch(0)
                loop.at(self._free_at_s, self.on_event)
                return
            try:
                if self._body is None and loop.discards and TAIL_BYTES < self._body_left < UNKNOWN_BYTES // 2:
                    # Linux: MSG_TRUNC lets TCP throw bytes away without copying them.
                    most = min(self._body_left - TAIL_BYTES, QUANTUM_BYTES)
                    count = self.sock.recv_into(loop.buffer, most, socket.MSG_TRUNC)
                    taken = None
                else:
                    count = self.sock.recv_into(loop.buffer, min(self._body_left, QUANTUM_BYTES))
                    taken = loop.buffer[:count]
            except WAITING:
                self._watch(select.EPOLLIN)
                return
            if not count:
                self.close()
                return
            if taken is None:
                self._account(count, now_s)
            else:
                self._took(taken, now_s)

    def _took(self, data: memoryview, now_s: float) -> None:
        count = len(data)
        if self._chunks is not None:
            data = memoryview(self._chunks.feed(bytes(data)))
            if self._chunks.is_over:
                self._body_left = count
        if self._body is not None:
            self._body += data
        elif self._request is not None and self._request.is_chunked:
            self._tail = (self._tail + bytes(data[-TAIL_BYTES:]))[-TAIL_BYTES:]
        self._account(count, now_s)

    def _account(self, count: int, now_s: float) -> None:
        self._body_left -= count
        self._free_at_s = max(self._free_at_s, now_s - BURST_S) + count / self._loop.distance.bytes_per_s
        self._loop.counters.received_bytes += count
        if not self._body_left:
            request = self._request
            assert request is not None
            if self._body is not None:
                request.body = bytes(self._body)
                self._body = None
            elif self._tail:
                request.trailer = trailer_of(self._tail)
            self._watch(select.EPOLLIN)
            self._time_reply(now_s)

    def _time_reply(self, now_s: float) -> None:
        self._due_s = now_s + self._loop.delay_s()
        self._loop.waiting(+1)
        self._loop.at(self._due_s, self._answer)

    def _answer(self, now_s: float) -> None:
        loop, request = self._loop, self._request
        assert request is not None
        loop.waiting(-1)
        counters = loop.counters
        counters.requests += 1
        counters.late_s += now_s - self._due_s
        counters.latest_s = max(counters.latest_s, now_s - self._due_s)
        if not self.is_open:
            return
        self._reply = loop.service.reply(request)
        self._sent = 0
        self._free_at_s = max(self._free_at_s, now_s)
        try:
            self._send(now_s)
        except (ConnectionError, ssl.SSLError):
            self.close()

    def _send(self, now_s: float) -> None:
        """Send on; whatever is left waits for the pace, or for the client."""
        loop, reply = self._loop, self._reply
        assert reply is not None
        head_bytes, body = len(reply.head), reply.body
        whole = head_bytes + (reply.size_bytes if body is None else len(body))
        rate = loop.distance.bytes_per_s
        while self._sent < whole:
            if self._free_at_s > now_s and self._sent:
                self._watch(0)
                loop.at(self._free_at_s, self.on_event)
                return
            try:
                count = self._send_some(reply, whole)
            except WAITING:
                self._watch(select.EPOLLOUT)
                return
            self._sent += count
            loop.counters.sent_bytes += count
            self._free_at_s = max(self._free_at_s, now_s - BURST_S) + count / rate
        self._reply = self._request = None
        self._watch(select.EPOLLIN)
        if self._head:
            self._begin(now_s)

    def _send_some(self, reply: Reply, whole: int) -> int:
        """Send the next bytes by one call and return how many were taken."""
        at = self._sent - len(reply.head)
        if reply.body is not None:
            if at < 0:
                return self.sock.send(reply.head[self._sent :] + reply.body[:QUANTUM_BYTES])
            return self.sock.send(memoryview(reply.body)[at : at + QUANTUM_BYTES])
        position = (reply.start + max(at, 0)) % PERIOD_BYTES
        most = min(whole - max(self._sent, len(reply.head)), QUANTUM_BYTES, PERIOD_BYTES - position)
        view = self._loop.content.view
        if self._loop.has_tls:
            if at < 0:
                return self.sock.send(reply.head[self._sent :] + bytes(view[position : position + min(most, 8 << 10)]))
            return self.sock.send(view[position : position + most])
        if at < 0:
            if most <= TOGETHER_BYTES:
                return self.sock.sendmsg([reply.head[self._sent :], view[position : position + most]])
            return self.sock.send(reply.head[self._sent :], socket.MSG_MORE)
        return os.sendfile(self.file, self._loop.content.file, position, most)


class TlsConnection(Connection):
    """A connection that first shakes hands."""

    __slots__ = ("_is_shaken",)

    sock: ssl.SSLSocket

    def __init__(self, sock: ssl.SSLSocket, loop: Loop) -> None:
        super().__init__(sock, loop)
        self._is_shaken = False

    def on_event(self, now_s: float) -> None:
        """Shake hands, then go on as without TLS."""
        if self.is_open and not self._is_shaken:
            try:
                self.sock.do_handshake()
            except WAITING:
                return
            except (ConnectionError, ssl.SSLError):
                self.close()
                return
            self._is_shaken = True
        super().on_event(now_s)
        # A record that was decrypted may hold more than was asked for, of which no poll tells.
        while self.is_open and self._masked == select.EPOLLIN and self.sock.pending():
            super().on_event(now_s)


class Loop:
    """All connections of one listening socket, and all timers."""

    def __init__(
        self, listener: socket.socket, service: Service, content: Content, distance: Distance,
        counters: Counters, *, tls: ssl.SSLContext | None,
    ) -> None:  # fmt: skip
        self.service = service
        self.content = content
        self.distance = distance
        self.counters = counters
        self.has_tls = tls is not None
        self.discards = tls is None
        self.buffer = memoryview(bytearray(QUANTUM_BYTES))
        self.epoll = select.epoll()
        self._tls = tls
        self._listener = listener
        self._timers: list[tuple[float, int, Callable[[float], None]]] = []
        self._timed = 0
        self._waiting = 0
        self._open: dict[int, Connection] = {}
        self._random = random.Random(1)
        listener.setblocking(False)
        self.epoll.register(listener.fileno(), select.EPOLLIN)

    def at(self, instant_s: float, action: Callable[[float], None]) -> None:
        """Have ``action(now)`` called at an instant of the monotonic clock."""
        self._timed += 1
        heapq.heappush(self._timers, (instant_s, self._timed, action))

    def delay_s(self) -> float:
        """Return the latency of the next reply."""
        distance = self.distance
        delay_s = distance.latency_s
        if distance.jitter_s:
            delay_s += self._random.random() * distance.jitter_s
        if distance.late_share and self._random.random() < distance.late_share:
            delay_s += distance.late_s
        return delay_s

    def waiting(self, change: int) -> None:
        """Count requests whose reply has not begun."""
        self._waiting += change
        self.counters.most_waiting = max(self.counters.most_waiting, self._waiting)

    def forget(self, connection: Connection) -> None:
        """Take a closed connection out."""
        del self._open[connection.file]
        self.counters.connections -= 1

    def run(self, is_over: Callable[[], bool]) -> None:
        """Serve until ``is_over()``, which is asked after every signal and at least once a second."""
        monotonic, timers, waiter = time.monotonic, self._timers, [self.epoll.fileno()]
        listener = self._listener.fileno()
        while not is_over():
            wait_s = min(1.0, max(0.0, timers[0][0] - monotonic())) if timers else 1.0
            if wait_s:
                select.select(waiter, (), (), wait_s)
            for file, events in self.epoll.poll(0, EVENTS):
                if file == listener:
                    self._accept()
                elif (connection := self._open.get(file)) is not None:
                    if events & GONE:
                        connection.close()
                    else:
                        connection.on_event(monotonic())
            now_s = monotonic()
            while timers and timers[0][0] <= now_s:
                heapq.heappop(timers)[2](now_s)
                now_s = monotonic()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is None:
                connection = Connection(sock, self)
            else:
                try:
                    shaking = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                except OSError:  # already gone again
                    sock.close()
                    continue
                connection = TlsConnection(shaking, self)
            self._open[connection.file] = connection
            counters = self.counters
            counters.accepted += 1
            counters.connections += 1
            counters.most_connections = max(counters.most_connections, counters.connections)
            self.epoll.register(connection.file, select.EPOLLIN)
