"""Probes what an endpoint gives at best, by nothing but sockets, and adds the disk: what results are held against."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import socket
import ssl
import statistics
import threading
import time
from urllib.parse import urlsplit

import msgspec

from bulkhaul.benchmark.disk_floor import disk_floor
from bulkhaul.benchmark.machine import kind_of
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import Floors
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.policy.benchmark_keys import table_key
from bulkhaul.policy.object_sizes import size_of
from bulkhaul.wire.tls import client_context

ASKED = 11
"""GETs whose median is the time to the first byte."""

LOOKED_AT = 64
"""Objects among which the largest is taken."""

TELLING_BYTES = MIB
"""A shorter body does not tell the rate of a connection: its first packets bring most of it."""

PROBE_S = 1.5
"""How long rates are probed."""

BODY_S = 0.5
"""A body is read for so long at most: what came by then tells the rate, however long the object is."""

MOST_S = 20.0
"""Its sockets take no longer: a service that answers so slowly is measured by the load itself."""

SCRATCH_BYTES = 64 * KIB
"""A read waits until there is so much."""

SOCKETS = 8

TIMEOUT_S = 15.0


class _Open:
    """The connections that are open or being made, which another thread can end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self.over = False

    def add(self, one: socket.socket) -> None:
        """Take a connection.

        Raises:
            OSError: there are to be none any more.
        """
        with self._lock:
            if self.over:
                raise OSError("it took too long")
            self._sockets.add(one)

    def remove(self, one: socket.socket) -> None:
        """Forget a connection, which is closed now."""
        with self._lock:
            self._sockets.discard(one)
            one.close()

    def end(self) -> None:
        """Wake every thread that waits for one of them, and let none be opened."""
        with self._lock:
            self.over = True
            for one in self._sockets:
                with contextlib.suppress(OSError):  # the other side has closed it
                    one.shutdown(socket.SHUT_RDWR)


class _Probe:
    """GETs of presigned URLs by the standard library's client, over one connection."""

    def __init__(self, url: str, settings: Settings, opened: _Open) -> None:
        parts = urlsplit(url)
        self._path = f"{parts.path}?{parts.query}"
        self._opened = opened
        self._context: ssl.SSLContext | None = None
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            ca = settings.ca_bundle or os.environ.get("AWS_CA_BUNDLE") or None
            self._context = client_context(ca, verify=True) if settings.verify_tls else _unverified()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, context=self._context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port)
        self._socket: socket.socket | None = None

    def connect(self) -> float:
        """Connect, and return the seconds that it took."""
        began_s = time.perf_counter()
        self._socket = self._connection.sock = self._connected()
        return time.perf_counter() - began_s

    def _connected(self) -> socket.socket:
        """Return a connection that another thread could end while it was made, as the client's own cannot be."""
        failed = OSError("the name of the endpoint has no address")
        found = socket.getaddrinfo(self._connection.host, self._connection.port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            made = socket.socket(family, kind, protocol)
            try:
                self._opened.add(made)
                made.settimeout(TIMEOUT_S)
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return made if self._context is None else self._secured(made, self._context)
            except OSError as error:
                failed = error
                self._opened.remove(made)
        raise failed

    def _secured(self, made: socket.socket, context: ssl.SSLContext) -> socket.socket:
        secured = context.wrap_socket(made, server_hostname=self._connection.host, do_handshake_on_connect=False)
        self._opened.remove(made)  # it is the other's now
        try:
            self._opened.add(secured)
            secured.do_handshake()
        except OSError:
            self._opened.remove(secured)
            raise
        return secured

    def get(self, scratch: memoryview, most_s: float) -> tuple[float, float, int, bool]:
        """Return (seconds to the head of the reply, seconds of the body, its bytes, whether that was all of it).

        Args:
            most_s: for which the body is read; the connection is closed if that is not all.

        Raises:
            OSError: the service does not answer this with 200.
        """
        if self._socket is None:
            self.connect()
        began_s = time.perf_counter()
        self._connection.request("GET", self._path)
        reply = self._connection.getresponse()
        first_s = time.perf_counter()
        moved, whole = 0, False
        while not whole and time.perf_counter() - first_s < most_s:
            count = reply.readinto(scratch)
            moved, whole = moved + count, not count
        body_s = time.perf_counter() - first_s
        if reply.status != 200:
            raise OSError(f"HTTP {reply.status} to a presigned GET")
        if not whole:
            reply.close()
        if not whole or self._connection.sock is None:  # or the service has closed it
            self.close()
        return first_s - began_s, body_s, moved, whole

    def close(self) -> None:
        if self._socket is not None:
            self._opened.remove(self._socket)
            self._socket = None
        self._connection.close()


async def probe(engine: AsyncEngine, record: Record, folder: str) -> Floors | str:
    """Return the floors of a service, from a prepared object, or why they cannot be had.

    Args:
        folder: where bodies are written; empty if they are thrown away.
    """
    table = record.table
    looked = range(min(table.objects, LOOKED_AT))
    place = max(looked, key=lambda one: size_of(table.sizes, table.seed, one), default=-1)
    if place < 0:
        return "no object is prepared"
    ref = ObjectRef(record.bucket, table_key(record.prefix, table, place))
    url = await engine.presigned_url(ref) if engine.settings.sign_requests else ""
    if not url:
        target = await engine.control.target(record.bucket)
        url = target.url(ref.key)
    return await probe_url(url, engine.settings, folder)


async def probe_url(url: str, settings: Settings, folder: str) -> Floors | str:
    """Return what GETs of a URL and writes to a folder tell, or why the URL tells nothing."""
    opened = _Open()
    probing = asyncio.ensure_future(in_thread(_probed, url, settings, opened))
    slow = True
    try:
        await asyncio.wait({probing}, timeout=MOST_S)
        slow = not probing.done()
    finally:
        opened.end()
        await asyncio.wait({probing})  # at once; a signal is not to wait for a thread
        error = probing.exception()
    if slow:
        return f"the endpoint is too slow to be probed: it took more than {MOST_S:g} s"
    if isinstance(error, OSError | http.client.HTTPException):
        return f"the endpoint cannot be probed by plain sockets: {error}"
    disk, no_disk = await disk_floor(folder) if kind_of(folder) == "a folder" else (0, "")
    return msgspec.structs.replace(probing.result(), disk_bytes_per_s=disk, no_disk=no_disk)


def _probed(url: str, settings: Settings, opened: _Open) -> Floors:
    scratch = memoryview(bytearray(SCRATCH_BYTES))
    connects: list[float] = []
    firsts: list[float] = []
    rates: list[float] = []
    for _ in range(3):
        probe = _Probe(url, settings, opened)
        connects.append(probe.connect())
        probe.close()
    probe = _Probe(url, settings, opened)
    try:
        probe.connect()
        ends_s = time.perf_counter() + PROBE_S
        while (len(firsts) < ASKED and time.perf_counter() < ends_s) or len(firsts) < 3:
            first_s, body_s, moved, whole = probe.get(scratch, BODY_S)
            firsts.append(first_s)
            if (moved >= TELLING_BYTES or not whole) and body_s > 0:
                rates.append(moved / body_s)
    finally:
        probe.close()
    return Floors(
        connect_ms=round(1000 * statistics.median(connects), 3),
        first_byte_ms=round(1000 * statistics.median(firsts), 3),
        connection_bytes_per_s=round(statistics.median(rates)) if rates else 0,
        sockets_bytes_per_s=_together(url, settings, opened) if rates else 0,
        sockets=SOCKETS,
    )


def _together(url: str, settings: Settings, opened: _Open) -> int:
    """Return bytes a second of several connections at once."""
    moved = [0] * SOCKETS
    began_s = time.perf_counter()
    ends_s = began_s + PROBE_S

    def fetch(number: int) -> None:
        scratch = memoryview(bytearray(SCRATCH_BYTES))
        probe = _Probe(url, settings, opened)
        try:
            while (left_s := ends_s - time.perf_counter()) > 0:
                moved[number] += probe.get(scratch, left_s)[2]
        except (OSError, http.client.HTTPException):
            return  # what it has moved counts
        finally:
            probe.close()

    threads = [threading.Thread(target=fetch, args=(number,), daemon=True) for number in range(SOCKETS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(moved) / (time.perf_counter() - began_s))


def _unverified() -> ssl.SSLContext:
    return client_context(None, verify=False)
