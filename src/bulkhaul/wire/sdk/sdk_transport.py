"""The SDK's transport: sends GETs and PUTs through boto3, where the fast transport cannot.

It judges replies by the same rules, counts every byte, and has the same deadlines as the fast one. Each request runs
in a thread, which reads a body straight into the sink's space.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from urllib3.exceptions import HTTPError

from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import Stored
from bulkhaul.wire.classify import network_error
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.reply import changed_if_412, check_get, stored_by, stored_checksum, transcoded
from bulkhaul.wire.sdk.calls import client_error, reply_headers
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.transport import OnSent, Sink, TransportError
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest

READ_BYTES = 1024 * 1024
"""Most bytes of one read."""

FIRST_READ_BYTES = 8 * 1024
"""Bytes of the first read. A read returns only with all of its bytes, so it must be short for a slow body."""

QUICK_READ_S = 0.05
"""A read that took no longer is followed by one of twice the length, any other by one of half."""


_CIRCLE = ErrorInfo("EndpointRedirect", "the endpoint redirects requests in a circle")
"""Where the SDK raises RecursionError."""

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


class SdkTransport:
    """Fetches through a boto3 client, one thread per request in flight."""

    def __init__(
        self,
        settings: Settings,
        sdk: SdkClient,
        throttle: Throttle | None = None,
        connections: int | None = None,
        first_bytes: FirstBytes | None = None,
    ) -> None:
        """Connect nowhere yet.

        Args:
            throttle: the limit of the bandwidth; None for none.
            connections: requests in flight at most; None for what the settings give each worker.
            first_bytes: told, on the loop, when replies begin.
        """
        self._first_bytes = first_bytes
        self._sdk = sdk
        self._throttle = throttle
        self._timeouts = settings.waits
        self._threads = ThreadPoolExecutor(connections or settings.sdk_connections, thread_name_prefix="sdk-get")
        self._bodies = threading.local()
        self._loop: asyncio.AbstractEventLoop  # from the first request on
        sdk.client.meta.events.register("before-sign.s3.GetObject", self._ask_for_checksum)
        for operation in ("PutObject", "UploadPart"):
            sdk.register(f"before-send.s3.{operation}", self._note_departure)

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        self._sdk.use(credentials)

    def drop_idle(self) -> None:
        """Close connections that have been unused for ``idle_s``."""
        self._sdk.close_if_idle(self._timeouts.idle_s)

    async def get(self, request: GetRequest, sink: Sink) -> None:
        """Fetch ``[start, end)`` into ``sink``; see ``Transport.get``.

        A cancelled GET returns only when its thread no longer uses the sink.
        """
        cancelled = threading.Event()
        await self._in_thread(cancelled, self._get, request, sink, cancelled)

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole; see ``Transport.put``.

        A cancelled PUT returns only when its thread no longer uses the body.
        """
        cancelled = threading.Event()
        outgoing = _SentBody(body, on_sent, self._throttle, cancelled)
        return await self._in_thread(cancelled, self._put, request, outgoing)

    async def _in_thread(
        self, cancelled: threading.Event, function: Callable[[*Arguments], T], *arguments: *Arguments
    ) -> T:
        """Run a request in a thread; when cancelled, set ``cancelled`` and wait until the thread has ended it."""
        self._loop = asyncio.get_running_loop()
        run = contextvars.copy_context().run  # which try it is
        work = self._loop.run_in_executor(self._threads, lambda: run(function, *arguments))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            cancelled.set()
            await asyncio.wait([work])
            work.exception()  # retrieved, or asyncio would report it as lost
            raise

    def _put(self, request: PutRequest, body: _SentBody) -> Stored:
        client = self._sdk.patient
        parameters: dict[str, Any] = {"Bucket": request.bucket, "Key": request.key, "Body": body}
        operation = client.put_object
        if request.upload_id:
            operation = client.upload_part
            parameters |= {"UploadId": request.upload_id, "PartNumber": request.number}
        self._sdk.last_used_s = time.monotonic()
        self._bodies.body = body
        try:
            self._sdk.require_unrewritten(request.key)
            with self._sdk.raw.sending(request.headers):
                reply = operation(**parameters)
        except TransferError as error:
            raise TransportError(error.info) from error
        except ClientError as error:
            raise TransportError(client_error(error).info) from error
        except RecursionError as error:
            raise TransportError(_CIRCLE) from error
        except (BotoCoreError, OSError) as error:
            if body.broken_off is not None:
                raise TransportError(body.broken_off.info) from error
            raise TransportError(network_error(error)) from error
        finally:
            self._bodies.body = None
        self._replied(body.read_s)
        headers = reply_headers(reply)
        try:
            return stored_by(headers, etag=headers.get("etag", ""), where=request.target.host_header)
        except TransferError as error:
            raise TransportError(error.info) from error

    def _note_departure(self, **_: object) -> None:
        """Note that this thread's body is sent from now on; reads before that only hashed it."""
        body = getattr(self._bodies, "body", None)
        if body is not None:
            body.on_its_way = True

    def _get(self, request: GetRequest, sink: Sink, cancelled: threading.Event) -> None:
        parameters: dict[str, str] = {"Bucket": request.bucket, "Key": request.key}
        if not request.whole:
            parameters["Range"] = f"bytes={request.start}-{request.end - 1}"
        if request.etag:
            parameters["IfMatch"] = request.etag
        if request.version_id:
            parameters["VersionId"] = request.version_id
        self._sdk.last_used_s = time.monotonic()
        try:
            self._sdk.require_unrewritten(request.key)
            reply = self._asked(parameters, whole=request.whole)
        except TransferError as error:
            raise TransportError(error.info) from error
        except ClientError as error:
            raise TransportError(changed_if_412(request, client_error(error).info)) from error
        except RecursionError as error:
            raise TransportError(_CIRCLE) from error
        except BotoCoreError as error:
            raise TransportError(network_error(error)) from error
        body = reply["Body"]
        try:
            headers = reply_headers(reply)
            if self._sdk.unpacked(headers):
                body.close()
                reply = self._asked(parameters, whole=request.whole)
                body, headers = reply["Body"], reply_headers(reply)
            status = int(reply["ResponseMetadata"]["HTTPStatusCode"])
            if wrong := check_get(request, status, headers):
                raise TransportError(transcoded(headers) or _broken_if_short(wrong, body))
            try:
                sink.expect(stored_checksum(headers) if request.whole else None)
            except TransferError as error:
                raise TransportError(error.info) from error
            length = headers.get("content-length", "")
            wanted = request.end - request.start if request.end >= 0 else int(length) if length else -1
            self._receive(wanted, body, sink, cancelled, status)
            if wanted >= 0 and not length and body.read(1):
                text = f"the reply goes on after the {request.end - request.start} bytes that were asked for"
                raise TransportError(ErrorInfo("UnexpectedReply", text))
        finally:
            body.close()  # a body that was not read to its end closes its connection

    def _asked(self, parameters: dict[str, str], *, whole: bool) -> Any:
        """Return the reply to a GET; where the endpoint refuses to be asked for the stored checksum, one without."""
        self._bodies.asks_checksum = whole and self._sdk.takes(CHECKSUM_MODE)
        try:
            return self._got(parameters)
        except ClientError as error:
            if not self._bodies.asks_checksum or not self._sdk.may_do_without(client_error(error)):
                raise
        self._bodies.asks_checksum = False
        reply = self._got(parameters)
        self._sdk.does_without(CHECKSUM_MODE)
        return reply

    def _got(self, parameters: dict[str, str]) -> Any:
        began_s = time.monotonic()
        reply = self._sdk.client.get_object(**parameters)
        self._replied(began_s)
        return reply

    def _replied(self, asked_s: float) -> None:
        """A reply that reports success has begun; this is told in one thread alone, that of the loop."""
        if self._first_bytes is not None:
            self._loop.call_soon_threadsafe(self._first_bytes.note, time.monotonic() - asked_s)

    def _ask_for_checksum(self, request: Any, **_: object) -> None:
        """Ask for the stored checksum in a header; by the parameter the SDK would compute one as well."""
        if getattr(self._bodies, "asks_checksum", False):
            request.headers[CHECKSUM_MODE] = "ENABLED"

    def _receive(self, wanted: int, body: Any, sink: Sink, cancelled: threading.Event, status: int) -> None:
        """Receive ``wanted`` bytes; with -1 all until the end, which may then be that of the connection."""
        window_began_s, window_bytes, got = time.monotonic(), 0, 0
        most = READ_BYTES if self._throttle is None else min(READ_BYTES, self._throttle.piece_bytes)
        now_s, size = window_began_s, min(most, FIRST_READ_BYTES)
        while got < wanted or wanted < 0:
            if cancelled.is_set():
                raise TransportError(ErrorInfo("Cancelled", "the request was cancelled"))
            broken: ErrorInfo | None = None
            try:
                count = body.readinto(sink.space()[: min(size, wanted - got) if wanted >= 0 else size])
            except (BotoCoreError, HTTPClientError, HTTPError, OSError) as error:
                broken = network_error(error)
            if broken is not None:
                # Raised outside the except: as its context the SDK's error would keep the sink's memory alive.
                begun = {"status": status} if broken.code == "NetworkError" else {}
                raise TransportError(msgspec.structs.replace(broken, **begun))
            if not count and wanted < 0:
                return
            if not count:
                info = ErrorInfo(
                    "NetworkError", f"the connection was closed, {wanted - got} bytes short", status=status
                )
                raise TransportError(info)
            sink.received(count)
            got += count
            if self._throttle is not None:
                time.sleep(self._throttle.moved(count))
            began_s, now_s = now_s, time.monotonic()
            quick = now_s - began_s <= QUICK_READ_S
            size = min(most, size * 2 if quick else max(FIRST_READ_BYTES, size // 2))
            if now_s - window_began_s >= self._timeouts.speed_window_s:
                if got - window_bytes < self._timeouts.min_speed_bytes_per_s * (now_s - window_began_s):
                    raise TransportError(ErrorInfo("StallTimeout", "the body came slower than the floor of speed"))
                window_began_s, window_bytes = now_s, got


class _SentBody:
    """A body that the SDK reads piece by piece, twice if it hashes it first.

    Attributes:
        broken_off: why the caller wants no more of it sent.
        on_its_way: it is sent, no longer only hashed.
        read_s: when the last piece was read.
    """

    def __init__(
        self, view: memoryview, on_sent: OnSent, throttle: Throttle | None, cancelled: threading.Event
    ) -> None:
        self._throttle = throttle
        self._view = view
        self._on_sent = on_sent
        self._at = 0
        self._cancelled = cancelled
        self.broken_off: TransferError | None = None
        self.on_its_way = False
        self.read_s = time.monotonic()

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes.

        Raises:
            OSError: the request was cancelled, or is to be broken off. A reader that only hashes the body sees its end
                instead: the signer of awscrt would print the error.
        """
        end = len(self._view) if size < 0 else min(len(self._view), self._at + size)
        try:
            self._on_sent(self._at, len(self._view) - self._at)
        except TransferError as error:
            self.broken_off = error
        if self._cancelled.is_set() or self.broken_off is not None:
            if self.on_its_way:
                raise OSError("the body was broken off")
            return b""
        data = bytes(self._view[self._at : end])
        self._at, self.read_s = end, time.monotonic()
        if self.on_its_way and self._throttle is not None:
            time.sleep(self._throttle.moved(len(data)))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to another byte."""
        self._at = offset + (0, self._at, len(self._view))[whence]
        return self._at

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._at


def _broken_if_short(wrong: ErrorInfo, body: Any) -> ErrorInfo:
    """Tell a wrong reply from a header block that broke off, which http.client takes for a whole one."""
    if wrong.code != "RangeIgnored":
        return wrong
    try:
        more = body.read(1)
    except (BotoCoreError, HTTPClientError, HTTPError, OSError):
        more = b""
    return wrong if more else ErrorInfo("NetworkError", "the connection was closed within the reply's header block")
