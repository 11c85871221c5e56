"""The fast transport: sends signed GETs and PUTs over pooled HTTP/1.1 connections of its own, without boto3.

A watcher ticks four times a second and breaks what stalls: no reply head or no byte for ``read_s``, a body slower
than the speed floor over ``speed_window_s``, no reply to a body for ``ack_s``. So no request needs a timer.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import ssl
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

import msgspec

from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import Stored
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.policy.plainhttp import is_loopback
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.http1 import Connection
from bulkhaul.wire.http1_parsing import DocumentTooLong, ReplyHead
from bulkhaul.wire.keepalive import keep_alive
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.reply import admit, failed_get, failed_put, stored_by
from bulkhaul.wire.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Signer
from bulkhaul.wire.small_exchanges import One, Rows, SmallExchanges
from bulkhaul.wire.small_gets import SmallGets, SmallRequests, Wanted
from bulkhaul.wire.small_puts import Given, SmallPuts
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.tls import client_context
from bulkhaul.wire.told import MAX_HEAD_BYTES
from bulkhaul.wire.transport import OnSent, Sink, TransportError
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest, Target, object_headers

WATCH_S = 0.25


class FastTransport:
    """Fetches over its own connections; one per request in flight, kept for the next one to the same host."""

    def __init__(
        self,
        settings: Settings,
        *,
        ca_bundle: str | None,
        user_agent: str,
        throttle: Throttle | None = None,
        learned: Learned | None = None,
        first_bytes: FirstBytes | None = None,
    ) -> None:
        """Connect nowhere yet.

        Args:
            settings: ``request_payer`` and ``sse_c_key`` become headers of every request.
            ca_bundle: file of certificate authorities to trust; None if certificates are not to be verified.
            throttle: the limit of the bandwidth; None for none.
            learned: what endpoints do not take; shared with the other clients of the process.
            first_bytes: told when replies to GETs and PUTs of objects begin.
        """
        self._learned = learned or Learned()
        self._ca_bundle = ca_bundle
        self._new_connection = functools.partial(Connection, throttle, first_bytes, bytearray(MAX_HEAD_BYTES))
        self._timeouts = settings.timeouts
        self._user_agent = user_agent
        self._extra_headers = object_headers(settings)
        self._credentials: Credentials | None = None
        self._signers: dict[str, Signer] = {}
        self._small: dict[Target, SmallRequests] = {}
        self._idle: dict[tuple[str, str, int], list[Connection]] = defaultdict(list)
        self._busy: dict[Connection, Watch] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._tls: ssl.SSLContext | None = None

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these, or not at all with None."""
        self._credentials = credentials
        self._signers.clear()
        self._small.clear()

    async def get(self, request: GetRequest, sink: Sink) -> None:
        """Fetch ``[start, end)`` into ``sink``; see ``Transport.get``."""
        host = request.target.host
        asks, packed = self._learned.manner(host)
        asks = asks and request.whole
        try:
            await self._get(request, sink, asks_checksum=asks)
        except TransportError as error:
            if error.info.code == "Unsupported" and not error.info.status and not packed:
                self._learned.has_unpacked(host)
                await self._get(request, sink, asks_checksum=asks)
                return
            if not asks or not may_go_without(host, error.info):
                raise
            await self._get(request, sink, asks_checksum=False)
            self._learned.does_without(host, CHECKSUM_MODE)

    async def _get(self, request: GetRequest, sink: Sink, *, asks_checksum: bool) -> None:
        status = 0

        def begin(reply: ReplyHead) -> Sink:
            nonlocal status
            status = reply.status
            admit(request, reply.status, reply.headers, sink)
            return sink

        async def exchange(connection: Connection) -> None:
            reply = await connection.exchange(self._encode_get(request, asks_checksum=asks_checksum), begin)
            if not 200 <= reply.status < 300:
                raise TransportError(failed_get(request, reply.status, reply.headers, connection.error_body))

        try:
            await self._with_connection(request.target, exchange, sends=False)
        except TransportError as error:
            if not status or error.info.code != "NetworkError":
                raise
            # The connection broke after the head of the reply: the service can be reached.
            raise TransportError(msgspec.structs.replace(error.info, status=status)) from error

    async def get_small(self, target: Target, rows: Rows[Wanted]) -> None:
        """Fetch small objects over one connection at a time, until the rows give no more; each failure is its row's."""
        await self._exchange_small(
            target, rows, lambda it, watch: SmallGets(it, self._small_requests(target).encode, rows, watch), sends=False
        )

    async def put_small(self, target: Target, rows: Rows[Given]) -> None:
        """Send small objects likewise."""
        hashed = not self._unsigned_payload(target)

        def encode(request: PutRequest, body: bytes) -> bytes:
            payload = hashlib.sha256(body).hexdigest() if hashed else UNSIGNED_PAYLOAD
            return self._encode_put(request, len(body), payload)

        await self._exchange_small(target, rows, lambda it, watch: SmallPuts(it, encode, rows, watch), sends=True)

    async def _exchange_small(
        self,
        target: Target,
        rows: Rows[One],
        begin: Callable[[Connection, Watch], SmallExchanges[One]],
        *,
        sends: bool,
    ) -> None:
        while (one := rows.take()) is not None:
            try:
                connection = await self._connection(target)
            except TransportError as error:
                one.failed(error.info)
                continue
            except BaseException:
                rows.put_back(one.place)
                raise
            watch = self._busy[connection] = Watch(connection.moved_bytes, time.monotonic(), sends)
            try:
                await begin(connection, watch).run(one)
            finally:
                self._release(connection, target)

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole; see ``Transport.put``."""
        payload = await self._payload_sha256(request.target, body)
        stored = Stored()

        async def exchange(connection: Connection) -> None:
            nonlocal stored
            reply = await connection.send(self._encode_put(request, len(body), payload), body, on_sent)
            if wrong := failed_put(reply.status, reply.headers, connection.error_body):
                raise TransportError(wrong)
            try:
                etag = reply.headers.get("etag", "")
                stored = stored_by(reply.headers, etag=etag, where=request.target.host_header)
            except TransferError as error:
                raise TransportError(error.info) from error

        # If the lost request stored the object, its repetition would fail on the condition and hide that it did.
        plain = not any(name == "if-none-match" for name, _ in request.headers)
        await self._with_connection(request.target, exchange, sends=True, again=plain)
        return stored

    async def ask(
        self,
        target: Target,
        method: str,
        path: str,
        query: str,
        headers: Sequence[tuple[str, str]],
        body: bytes = b"",
        *,
        most_bytes: int,
        patient: bool,
        again: bool,
    ) -> tuple[ReplyHead, bytes]:
        """Make a small request and return its whole reply, of any status.

        Args:
            path: percent-encoded; ``query`` too, without the question mark.
            headers: further ones, all of them signed; names in lower case.
            most_bytes: of the body of a reply that reports success.
            patient: wait ``ack_s`` for the reply: the service may first have to copy or assemble.
            again: send it once more if the connection had been closed while it was idle.

        Raises:
            TransportError: no complete reply came.
        """
        digest = hashlib.sha256(body).hexdigest() if body else EMPTY_SHA256
        told: tuple[ReplyHead, bytes] | None = None

        async def exchange(connection: Connection) -> None:
            nonlocal told
            sent = [*headers, ("content-length", str(len(body)))] if body or method in ("PUT", "POST") else [*headers]
            packed = method == "HEAD" and self._learned.unpacks(target.host)
            unsigned = "accept-encoding: gzip\r\n" if packed else ""
            request = self._encode(method, target, path, query, sent, digest, unsigned=unsigned) + body
            reply = await connection.ask(request, bodiless=method == "HEAD", most_bytes=most_bytes)
            told = reply, connection.error_body

        try:
            await self._with_connection(target, exchange, sends=patient, again=again)
        except DocumentTooLong as error:
            raise TransportError(ErrorInfo("UnexpectedReply", str(error))) from error
        assert told is not None
        return told

    def drop_idle(self) -> None:
        """Close connections that have been unused for ``idle_s``."""
        oldest_s = time.monotonic() - self._timeouts.idle_s
        for connections in self._idle.values():
            for connection in connections:
                if connection.idle_since_s < oldest_s:
                    connection.close()
            connections[:] = [c for c in connections if c.usable]

    async def _with_connection(
        self,
        target: Target,
        exchange: Callable[[Connection], Awaitable[None]],
        *,
        sends: bool,
        again: bool = True,
    ) -> None:
        """Run one exchange; repeat it on another connection if this one had been closed while it was idle."""
        while True:
            connection = await self._connection(target)
            self._busy[connection] = Watch(connection.moved_bytes, time.monotonic(), sends)
            try:
                await exchange(connection)
                return
            except ConnectionClosed as error:
                if not (error.stale and again):
                    raise TransportError(network_error(error)) from error
            except (ConnectionError, TimeoutError) as error:
                raise TransportError(network_error(error)) from error
            finally:
                self._release(connection, target)

    def _encode_get(self, request: GetRequest, *, asks_checksum: bool) -> bytes:
        headers: list[tuple[str, str]] = list(self._extra_headers)
        if asks_checksum:
            headers.append((CHECKSUM_MODE, "ENABLED"))
        if not request.whole:
            headers.append(("range", f"bytes={request.start}-{request.end - 1}"))  # RFC 9110 §14: inclusive
        if request.etag:
            headers.append(("if-match", request.etag))
        query = f"versionId={quote(request.version_id, safe='-_.~')}" if request.version_id else ""
        # Not signed: Google's front ends change it on the way.
        unsigned = "accept-encoding: gzip\r\n" if self._learned.manner(request.target.host)[1] else ""
        return self._encode(
            "GET", request.target, request.target.path(request.key), query, headers, EMPTY_SHA256, unsigned=unsigned
        )

    def _encode_put(self, request: PutRequest, length: int, payload_sha256: str) -> bytes:
        query = ""
        if request.upload_id:
            query = f"partNumber={request.number}&uploadId={quote(request.upload_id, safe='-_.~')}"
        headers = [*request.headers, *self._extra_headers, ("content-length", str(length))]
        return self._encode("PUT", request.target, request.target.path(request.key), query, headers, payload_sha256)

    def _encode(
        self,
        method: str,
        target: Target,
        path: str,
        query: str,
        headers: list[tuple[str, str]],
        payload_sha256: str,
        *,
        unsigned: str = "",
    ) -> bytes:
        if (signer := self._signer(target)) is not None:
            headers = signer.sign(
                method,
                target.host_header,
                path,
                headers,
                query=query,
                now_s=time.time(),
                payload_sha256=payload_sha256,
            )
        else:
            headers.append(("host", target.host_header))
        lines = [
            f"{method} {path}{'?' if query else ''}{query} HTTP/1.1",
            *(f"{name}: {value}" for name, value in headers),
        ]
        return ("\r\n".join(lines) + f"\r\n{unsigned}user-agent: {self._user_agent}\r\n\r\n").encode("latin-1")

    def _signer(self, target: Target) -> Signer | None:
        """Return what signs requests for a region, None where they go unsigned."""
        if self._credentials is None:
            return None
        signer = self._signers.get(target.region)
        if signer is None:
            signer = self._signers[target.region] = Signer(self._credentials, target.region)
        return signer

    def _small_requests(self, target: Target) -> SmallRequests:
        known = self._small.get(target)
        if known is None:
            known = self._small[target] = SmallRequests(
                target,
                self._signer(target),
                headers=self._extra_headers,
                user_agent=self._user_agent,
                learned=self._learned,
            )
        return known

    async def _payload_sha256(self, target: Target, body: memoryview) -> str:
        """Return the payload hash for the signature; the body is not hashed where nobody on the way can change it."""
        if self._unsigned_payload(target):
            return UNSIGNED_PAYLOAD
        return (await asyncio.to_thread(hashlib.sha256, body)).hexdigest()

    def _unsigned_payload(self, target: Target) -> bool:
        return self._credentials is None or target.scheme == "https" or is_loopback(target.host)

    # Connections

    async def _connection(self, target: Target) -> Connection:
        idle = self._idle[target.scheme, target.host, target.port]
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch())
            self._watcher.add_done_callback(_require_watch)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect_s):
                transport, connection = await loop.create_connection(
                    self._new_connection,
                    target.host,
                    target.port,
                    ssl=self._tls_context() if target.scheme == "https" else None,
                    server_hostname=target.host if target.scheme == "https" else None,
                )
        except TimeoutError as error:
            text = f"no connection to {target.host_header} within {self._timeouts.connect_s:g} s"
            raise TransportError(ErrorInfo("NetworkError", text, unreached=True)) from error
        except OSError as error:
            raise TransportError(network_error(error, connecting=True)) from error
        keep_alive(transport.get_extra_info("socket"))
        return connection

    def _release(self, connection: Connection, target: Target) -> None:
        self._busy.pop(connection, None)
        if connection.usable:
            connection.idle_since_s = time.monotonic()
            self._idle[target.scheme, target.host, target.port].append(connection)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context(self._ca_bundle, verify=self._ca_bundle is not None)
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    # Deadlines

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            now_s = time.monotonic()
            for connection, watch in list(self._busy.items()):
                if error := watch.too_slow(connection, now_s, self._timeouts):
                    connection.fail(error)


def _require_watch(watcher: asyncio.Task[None]) -> None:
    """Raise the failure of the watcher in the loop: without it no deadline is kept."""
    if not watcher.cancelled():
        watcher.result()
