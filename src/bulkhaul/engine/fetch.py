"""Carries out one lease in a worker: window, transport, outcome; it must not retry anything: the coordinator does."""

from __future__ import annotations

import asyncio

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.window import BUFFER_BYTES, MappedWindow, Window, WrittenWindow
from bulkhaul.engine.protocol import Done, Failed, Lease
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.model.settings import TransportChoice
from bulkhaul.wire.checksums import CRC_BYTES, updater
from bulkhaul.wire.transport import NotSpoken, Transport, TransportError
from bulkhaul.wire.values import Credentials, GetRequest

MAX_TEXT = 500
"""Longest text of an error, in characters: 32 failed leases fit a frame."""


class Receiver:
    """Puts a body into its window and computes its checksum while the bytes are hot.

    Attributes:
        crc: of the part up to the last byte received.
        promised: the checksum that the reply to a whole GET promised.
        discovered: the algorithm was learnt from the reply; nobody could go on from the middle with it.
    """

    def __init__(self, window: Window, algorithm: str, crc: int, *, learn: bool) -> None:
        self._window = window
        self._update = updater(algorithm) if algorithm else None
        self._learn = learn and not algorithm
        self._space = memoryview(b"")
        self.crc = crc
        self.promised: Checksum | None = None
        self.discovered = False

    @property
    def received_bytes(self) -> int:
        """Bytes of this lease that are in the file."""
        return self._window.received_bytes

    def expect(self, checksum: Checksum | None) -> None:
        """Take up the checksum that the reply promises, if it is one that can be computed on the way."""
        self.promised = checksum
        if self._learn and checksum and checksum.kind is ChecksumKind.FULL_OBJECT and checksum.algorithm in CRC_BYTES:
            self._update = updater(checksum.algorithm)
            self.discovered = True

    def space(self) -> memoryview:
        """Return the window's space."""
        self._space = self._window.space()
        return self._space

    def received(self, count: int) -> None:
        """Checksum and keep what came."""
        if self._update is not None:
            self.crc = self._update(self._space[:count], self.crc)
        self._space = memoryview(b"")
        self._window.received(count)

    def close(self) -> None:
        """Let go of the window; this object itself may live on in the frames of an error."""
        self._space = memoryview(b"")
        self._window.close()


class Fetcher:
    """Fetches leases by the transport that fits their target."""

    def __init__(self, choice: TransportChoice, fast: Transport, sdk: Transport) -> None:
        self._choice = choice
        self._fast = fast
        self._sdk = sdk
        self._buffers: list[memoryview] = []
        self._receivers: dict[int, Receiver] = {}
        self._secrets: tuple[str, ...] = ()

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        held = credentials or Credentials("", "")
        self._secrets = tuple(secret for secret in (held.secret_key, held.token) if secret)
        self._fast.use(credentials)
        self._sdk.use(credentials)

    def drop_idle(self) -> None:
        """Close connections that were not used for long."""
        self._fast.drop_idle()
        self._sdk.drop_idle()

    def reached(self) -> list[tuple[int, int]]:
        """Return (lease, bytes received) of what is being fetched."""
        return [(lease, receiver.received_bytes) for lease, receiver in self._receivers.items()]

    async def fetch(self, lease: Lease, fd: int) -> Done | Failed:
        """Receive a lease into its file and say how it went; never raises."""
        try:
            if lease.mapped:
                return await self._into(lease, MappedWindow(fd, lease.start, lease.end))
            buffer = self._buffers.pop() if self._buffers else memoryview(bytearray(BUFFER_BYTES))
            try:
                return await self._into(lease, WrittenWindow(fd, lease.start, lease.size_bytes, buffer))
            finally:
                self._buffers.append(buffer)
        except OSError as error:
            return Failed(lease.lease, 0, lease.crc, local_error(error).info)
        except Exception as error:  # noqa: BLE001 - whatever one object brings about must not end the worker
            info = ErrorInfo("OtherError", "the part could not be received", cause=f"{type(error).__name__}: {error}")
            return Failed(lease.lease, 0, lease.crc, self.cleaned(info))

    def cleaned(self, info: ErrorInfo) -> ErrorInfo:
        """Return an error without secrets that a service may have echoed (I5), cut so that it fits a frame."""
        return ErrorInfo(
            code=info.code,
            message=self._masked(info.message),
            subject=info.subject,
            cause=self._masked(info.cause),
            status=info.status,
            service_code=info.service_code[:100],
            request_id=info.request_id[:200],
            host_id=info.host_id[:200],
            retry_after_s=info.retry_after_s,
        )

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:MAX_TEXT]

    async def _into(self, lease: Lease, window: Window) -> Done | Failed:
        receiver = Receiver(window, lease.algorithm, lease.crc, learn=lease.whole)
        self._receivers[lease.lease] = receiver
        try:
            await self._get(lease, receiver)
            return Done(lease.lease, receiver.received_bytes, receiver.crc, receiver.promised)
        except TransportError as error:
            return self._failed(lease, receiver, error.info)
        except OSError as error:
            return self._failed(lease, receiver, local_error(error).info)
        except asyncio.CancelledError:
            return self._failed(lease, receiver, ErrorInfo("Cancelled", "the lease was taken back"))
        finally:
            del self._receivers[lease.lease]
            receiver.close()

    async def _get(self, lease: Lease, receiver: Receiver) -> None:
        request = GetRequest(
            lease.target, lease.bucket, lease.key, lease.etag, lease.start, lease.end, lease.size_bytes, lease.whole
        )
        if self._choice == "fast" and not lease.target.fast:
            text = f"the fast transport cannot be used: {lease.target.why_not}; use --transport auto"
            raise TransportError(ErrorInfo("Unsupported", text))
        if self._choice != "sdk" and lease.target.fast:
            try:
                await self._fast.get(request, receiver)
                return
            except NotSpoken as error:
                if self._choice == "fast":
                    text = f"the fast transport does not read {error}; use --transport auto"
                    raise TransportError(ErrorInfo("Unsupported", text)) from error
        await self._sdk.get(request, receiver)

    def _failed(self, lease: Lease, receiver: Receiver, error: ErrorInfo) -> Failed:
        error = self.cleaned(error)
        # Bytes of a reply that was not what it said do not count, nor those whose checksum nobody can go on with.
        if error.code == "UnexpectedReply" or receiver.discovered:
            return Failed(lease.lease, 0, lease.crc, error)
        return Failed(lease.lease, receiver.received_bytes, receiver.crc, error)
