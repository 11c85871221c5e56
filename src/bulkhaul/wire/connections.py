"""Keeps the connections of one worker: opens them, lends each to one exchange at a time, and watches it meanwhile.

    take ─▶ lent, under a watch ─▶ given back ─▶ idle ─▶ take …, or closed after ``idle_s``

A watcher ticks four times a second and breaks what stalls: no reply head or no byte for ``read_s``, a body slower
than the speed floor over ``speed_window_s``, no reply to a body for ``ack_s``. So no request needs a timer. It also
finds the GETs whose replies are late.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import weakref
from asyncio.trsock import TransportSocket
from collections import defaultdict
from collections.abc import Callable

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.settings import Timeouts
from bulkhaul.wire.addresses import Addresses, needs_no_lookup
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.keepalive import keep_alive
from bulkhaul.wire.late_replies import LateReplies
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.tls import client_context
from bulkhaul.wire.transport import TransportError
from bulkhaul.wire.values import Target

WATCH_S = 0.25


class Connections:
    """Connections to any hosts; one per request in flight, kept for the next one to the same host.

    Attributes:
        late: what is known of late replies.
    """

    def __init__(self, timeouts: Timeouts, new: Callable[[], Connection], *, ca_bundle: str | None) -> None:
        """Connect nowhere yet.

        Args:
            new: makes a connection that is not connected.
            ca_bundle: file of certificate authorities to trust; None if certificates are not to be verified.
        """
        self.late = LateReplies()
        self._timeouts = timeouts
        self._new = new
        self._ca_bundle = ca_bundle
        self._addresses = Addresses()
        self._idle: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._busy: dict[Connection, Watch] = {}
        self._sockets: weakref.WeakKeyDictionary[Connection, TransportSocket] = weakref.WeakKeyDictionary()
        self._watcher: asyncio.Task[None] | None = None
        self._tls: ssl.SSLContext | None = None

    async def take(self, target: Target) -> Connection:
        """Return a connection that nobody uses, a new one if none is idle.

        Raises:
            TransportError: none could be made.
        """
        idle = self._idle[target.scheme, target.host, target.port]
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        try:
            return await self.open(target)
        except TransportError as error:
            self.late.saw(error)
            raise

    async def open(self, target: Target) -> Connection:
        """Return a new connection.

        Raises:
            TransportError: it could not be made.
        """
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
            self._watcher.add_done_callback(_require_watch)
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                transport, connection = await self._connected(target)
        except TimeoutError as error:
            text = f"no connection to {target.host_header} within {self._timeouts.connect_s:g} s"
            raise TransportError(ErrorInfo("NetworkError", text, unreached=True)) from error
        except OSError as error:
            raise TransportError(network_error(error, connecting=True)) from error
        sock = transport.get_extra_info("socket")
        self._sockets[connection] = sock
        keep_alive(sock)
        return connection

    async def _connected(self, target: Target) -> tuple[asyncio.Transport, Connection]:
        loop = asyncio.get_running_loop()
        tls, name = (self._tls_context(), target.host) if target.scheme == "https" else (None, None)
        if needs_no_lookup(target.host):
            return await loop.create_connection(self._new, target.host, target.port, ssl=tls, server_hostname=name)
        sock = await self._addresses.connect(target.host, target.port, timeout_s=self._timeouts.connect_s)
        return await loop.create_connection(self._new, sock=sock, ssl=tls, server_hostname=name)

    def lend(self, connection: Connection, *, sends: bool = False, since_s: float | None = None) -> Watch:
        """Watch a connection from now on, or as if its exchange had begun at ``since_s``.

        Args:
            sends: a body is sent.
        """
        now_s = time.monotonic() if since_s is None else since_s
        watch = self._busy[connection] = Watch(connection.moved_bytes, now_s, sends, began_s=now_s)
        return watch

    def watch_of(self, connection: Connection) -> Watch:
        """Return the watch of a connection that is lent."""
        return self._busy[connection]

    def give_back(self, connection: Connection, target: Target) -> None:
        """Watch it no more, and keep it if it can be used again."""
        self._busy.pop(connection, None)
        if connection.usable:
            connection.idle_since_s = time.monotonic()
            self._idle[target.scheme, target.host, target.port].append(connection)

    def sockets(self) -> list[TransportSocket]:
        """Return the sockets of all connections that may still be open, lent or idle."""
        return list(self._sockets.values())

    def drop_idle(self) -> None:
        """Close connections that have been unused for ``idle_s``."""
        oldest_s = time.monotonic() - self._timeouts.idle_s
        for connections in self._idle.values():
            for connection in connections:
                if connection.idle_since_s < oldest_s:
                    connection.close()
            connections[:] = [c for c in connections if c.usable]

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context(self._ca_bundle, verify=self._ca_bundle is not None)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def look(self, now_s: float, *, lag_s: float) -> None:
        """Look at all connections that are lent; this look came so late."""
        self.late.begin_look(now_s, lag_s=lag_s)
        for connection, watch in list(self._busy.items()):
            if error := watch.too_slow(connection, now_s, self._timeouts):
                connection.fail(error)
            else:
                self.late.look(connection, watch, now_s)

    async def _watch(self) -> None:
        while True:
            due_s = time.monotonic() + WATCH_S
            await asyncio.sleep(WATCH_S)
            now_s = time.monotonic()
            self.look(now_s, lag_s=now_s - due_s)


def _require_watch(watcher: asyncio.Task[None]) -> None:
    """Raise the failure of the watcher in the loop: without it no deadline is kept."""
    if not watcher.cancelled():
        watcher.result()
