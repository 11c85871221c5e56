"""The fast transport: sends signed GETs and PUTs over pooled HTTP/1.1 connections of its own, without boto3.

``wire/connections.py`` keeps the connections and ends what stalls; ``wire/twins.py`` sends a GET whose reply is late
once more.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import time
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import quote

import msgspec

from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import Stored
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.policy.plainhttp import is_loopback
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.connections import Connections
from bulkhaul.wire.ending import ConnectionClosed
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.http1 import Begin, Connection
from bulkhaul.wire.http1_parsing import DocumentTooLong, ReplyHead
from bulkhaul.wire.learned import CHECKSUM_MODE, Learned
from bulkhaul.wire.reply import admit, failed_get, failed_put, stored_by
from bulkhaul.wire.request_log import RequestLog
from bulkhaul.wire.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Signer
from bulkhaul.wire.small_exchanges import One, Rows, SmallExchanges
from bulkhaul.wire.small_gets import SmallGets, SmallRequests, Wanted
from bulkhaul.wire.small_puts import Given, SmallPuts
from bulkhaul.wire.stalls import Watch
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.told import MAX_HEAD_BYTES
from bulkhaul.wire.transport import OnSent, Sink, TransportError
from bulkhaul.wire.twins import Pair
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest, Target, object_headers


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
        log: RequestLog | None = None,
    ) -> None:
        """Connect nowhere yet.

        Args:
            settings: ``request_payer`` and ``sse_c_key`` become headers of every request.
            ca_bundle: file of certificate authorities to trust; None if certificates are not to be verified.
            throttle: the limit of the bandwidth; None for none.
            learned: what endpoints do not take; shared with the other clients of the process.
            first_bytes: told when replies to GETs and PUTs of objects begin.
            log: told of each request, if it is on.
        """
        self._learned = learned or Learned()
        self._log = log or RequestLog()
        new = functools.partial(Connection, throttle, first_bytes, bytearray(MAX_HEAD_BYTES))
        self._connections = Connections(settings.waits, new, ca_bundle=ca_bundle)
        self._user_agent = user_agent
        self._extra_headers = object_headers(settings)
        self._credentials: Credentials | None = None
        self._signers: dict[str, Signer] = {}
        self._small: dict[Target, SmallRequests] = {}

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these, or not at all with None."""
        self._credentials = credentials
        self._signers.clear()
        for target, small in self._small.items():
            small.sign_with(self._signer(target))

    async def get(self, request: GetRequest, sink: Sink, lent: Callable[[Connection], None] | None = None) -> None:
        """Fetch ``[start, end)`` into ``sink``; see ``Transport.get``.

        Args:
            lent: told the connection of each GET, which a sink without room may hold.
        """
        host = request.target.host
        asks, packed = self._learned.manner(host)
        asks = asks and request.whole
        try:
            await self._get(request, sink, lent, asks_checksum=asks)
        except TransportError as error:
            if error.info.code == "Unsupported" and not error.info.status and not packed:
                self._learned.has_unpacked(host)
                await self._get(request, sink, lent, asks_checksum=asks)
                return
            if not asks or not may_go_without(host, error.info):
                raise
            await self._get(request, sink, lent, asks_checksum=False)
            self._learned.does_without(host, CHECKSUM_MODE)

    async def _get(
        self,
        request: GetRequest,
        sink: Sink,
        lent: Callable[[Connection], None] | None,
        *,
        asks_checksum: bool,
    ) -> None:
        status = 0

        def judge(reply: ReplyHead) -> Sink:
            nonlocal status
            admit(request, reply.status, reply.headers, sink)
            status = reply.status
            return sink

        async def fetch(connection: Connection, begin: Begin) -> ReplyHead:
            if lent is not None:
                lent(connection)
            exchange = connection.exchange(self._encode_get(request, asks_checksum=asks_checksum), begin)
            if self._log.on:
                reply = await self._log.watched(exchange, "GET", _url_of_part(request))
            else:
                reply = await exchange
            if not 200 <= reply.status < 300:
                raise TransportError(failed_get(request, reply.status, reply.headers, connection.error_body))
            return reply

        pair = Pair(self._connections, request.target, fetch, judge)
        try:
            await self._with_connection(request.target, pair.exchange, sends=False)
        except TransportError as error:
            if not status or error.info.code != "NetworkError":
                raise
            # The connection broke after the head of the reply: the service can be reached.
            raise TransportError(msgspec.structs.replace(error.info, status=status)) from error

    async def get_small(self, target: Target, rows: Rows[Wanted]) -> None:
        """Fetch small objects over one connection at a time, until the rows give no more; each failure is its row's."""
        connections = self._connections

        def begin(connection: Connection, watch: Watch) -> SmallGets:
            return SmallGets(
                connection, self._small_requests(target).encode, rows, watch, connections, target, self._log
            )

        await self._exchange_small(target, rows, begin, sends=False)

    async def put_small(self, target: Target, rows: Rows[Given]) -> None:
        """Send small objects likewise."""
        hashed = not self._unsigned_payload(target)

        def encode(request: PutRequest, body: bytes) -> bytes:
            payload = hashlib.sha256(body).hexdigest() if hashed else UNSIGNED_PAYLOAD
            return self._encode_put(request, len(body), payload)

        def begin(connection: Connection, watch: Watch) -> SmallPuts:
            return SmallPuts(connection, encode, rows, watch, self._connections.late, self._log)

        await self._exchange_small(target, rows, begin, sends=True)

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
                connection = await self._connections.take(target)
            except TransportError as error:
                one.failed(error.info)
                continue
            except BaseException:
                rows.put_back(one.place)
                raise
            watch = self._connections.lend(connection, sends=sends)
            try:
                await begin(connection, watch).run(one)
            finally:
                self._connections.give_back(connection, target)

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole; see ``Transport.put``."""
        payload = await self._payload_sha256(request.target, body)
        stored = Stored()

        async def exchange(connection: Connection) -> None:
            nonlocal stored
            sending = connection.send(self._encode_put(request, len(body), payload), body, on_sent)
            if self._log.on:
                reply = await self._log.watched(sending, "PUT", request.target.url(request.key, _query_of(request)))
            else:
                reply = await sending
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
            asking = connection.ask(request, bodiless=method == "HEAD", most_bytes=most_bytes)
            if self._log.on:
                url = f"{target.endpoint}{path}{'?' if query else ''}{query}"
                reply = await self._log.watched(asking, method, url)
            else:
                reply = await asking
            told = reply, connection.error_body
            self._connections.late.saw_status(reply.status)

        try:
            await self._with_connection(target, exchange, sends=patient, again=again)
        except DocumentTooLong as error:
            raise TransportError(ErrorInfo("UnexpectedReply", str(error))) from error
        assert told is not None
        return told

    def send_no_twins(self) -> None:
        """Ask once, however late a reply is: for whoever measures the service."""
        self._connections.late.most_twins = 0

    def sockets(self) -> list[TransportSocket]:
        """Return the sockets of all connections."""
        return self._connections.sockets()

    def drop_idle(self) -> None:
        """Close connections that have been unused for ``idle_s``."""
        self._connections.drop_idle()

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
            connection = await self._connections.take(target)
            self._connections.lend(connection, sends=sends)
            try:
                await exchange(connection)
                return
            except (ConnectionError, TimeoutError) as error:
                self._connections.late.saw(error)
                if not (isinstance(error, ConnectionClosed) and error.stale and again):
                    raise TransportError(network_error(error)) from error
            except TransportError as error:
                self._connections.late.saw(error)
                raise
            finally:
                self._connections.give_back(connection, target)

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
        query = _query_of(request)
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


def _url_of_part(request: GetRequest) -> str:
    """Return the URL of a GET, and which bytes it asks for, for people."""
    url = request.target.url(request.key)
    return url if request.whole else f"{url} bytes={request.start}-{request.end - 1}"


def _query_of(request: PutRequest) -> str:
    """Return the query of a PUT, percent-encoded: which part of which upload it is."""
    if not request.upload_id:
        return ""
    return f"partNumber={request.number}&uploadId={quote(request.upload_id, safe='-_.~')}"
