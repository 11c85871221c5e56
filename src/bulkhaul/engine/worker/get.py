"""Receives bytes by GET, in a worker: the lease of a part into its file, or what a ``Read`` asks for into memory.

Each GET is tried once; the coordinator decides about retries.
"""

from __future__ import annotations

import asyncio
import os

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.sparse import SparseWindow
from bulkhaul.disk.window import BUFFER_BYTES, MappedWindow, Window, WrittenWindow
from bulkhaul.engine.loop.threads import unforeseen
from bulkhaul.engine.messages.messages import Done, Failed, GetLease
from bulkhaul.engine.messages.requests import Read
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, IntegrityError, error_of
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.wire.checksums import CRC_BYTES, encoded_crc, updater
from bulkhaul.wire.transport import NotSpoken, Transport, TransportError
from bulkhaul.wire.values import GetRequest


class Receiver:
    """Puts a body into its window and computes its checksum while the bytes are hot.

    Attributes:
        crc: of the part up to the last byte received.
        promised: the checksum in the reply to a GET of the whole object.
        discovered: the algorithm was learnt from the reply, so a retry cannot go on from the middle.
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
        """Note the checksum in the reply's header, and compute it from now on if that is possible and asked for."""
        self.promised = checksum
        if self._learn and checksum and checksum.kind is ChecksumKind.FULL_OBJECT and checksum.algorithm in CRC_BYTES:
            self._update = updater(checksum.algorithm)
            self.discovered = True

    def space(self) -> memoryview:
        """Return writable space for the next bytes."""
        self._space = self._window.space()
        return self._space

    def received(self, count: int) -> None:
        """Take the first ``count`` bytes of the space as received."""
        if self._update is not None:
            self.crc = self._update(self._space[:count], self.crc)
        self._space = memoryview(b"")
        self._window.received(count)

    def use(self, buffer: memoryview) -> None:
        """Receive into another buffer from now on, where the window uses one."""
        self._window.use(buffer)

    def close(self) -> None:
        """Let go of the window, also if the traceback of an error still refers to this object."""
        self._space = memoryview(b"")
        self._window.close()


class Fetcher:
    """Fetches bytes by the transport that fits their target."""

    def __init__(self, transports: Transports, *, sparse: bool = False) -> None:
        """Take what makes requests; ``sparse``: blocks of zeros become holes of the files."""
        self._sparse = sparse
        self._transports = transports
        self._shared = memoryview(bytearray(BUFFER_BYTES))  # by all that is received on the loop
        self._buffers: list[memoryview] = []  # one for each thread
        self._receivers: dict[int, Receiver] = {}

    def reached(self) -> list[tuple[int, int]]:
        """Return (lease, bytes received) of the leases that are being fetched."""
        return [(lease, receiver.received_bytes) for lease, receiver in self._receivers.items()]

    async def fetch(self, lease: GetLease, fd: int) -> Done | Failed:
        """Receive a lease into its file and return what came of it; never raises."""
        try:
            request = lease.request
            at = request.start - lease.base
            if lease.mapped:
                return await self._into(lease, MappedWindow(fd, at, request.end - lease.base))
            shortest = 0 if lease.base else request.size_bytes
            kind = SparseWindow if self._sparse else WrittenWindow
            return await self._into(lease, kind(fd, at, shortest, self._shared))
        except OSError as error:
            return Failed(lease.lease, 0, lease.crc, local_error(error).info)
        except Exception as error:  # noqa: BLE001 - whatever one object brings about must not end the worker
            info = unforeseen(error, "the part could not be received")
            return Failed(lease.lease, 0, lease.crc, self._transports.cleaned(info))

    async def read(self, request: Read, fd: int) -> None:
        """Put an object, or a range of it, into memory, from the beginning of ``fd`` on.

        Raises:
            TransferError: the service or the connection failed, or the bytes are not those that were promised.
        """
        whole = request.end < 0
        start = 0 if whole else request.start
        where = (request.target, request.bucket, request.key, request.etag)
        get = GetRequest(*where, start, request.end, -1, whole, request.version_id)
        try:
            os.ftruncate(fd, 0)
            window = WrittenWindow(fd, 0, 0, self._shared)
            receiver = Receiver(window, "", 0, learn=whole)
            try:
                await self._get(get, receiver)
            finally:
                receiver.close()
        except TransportError as error:
            raise error_of(error.info) from error
        except OSError as error:
            raise local_error(error) from error
        _require_promised(receiver)

    async def _into(self, lease: GetLease, window: Window) -> Done | Failed:
        receiver = Receiver(window, lease.algorithm, lease.crc, learn=lease.request.whole)
        self._receivers[lease.lease] = receiver
        try:
            await self._get(lease.request, receiver)
            return Done(lease.lease, receiver.received_bytes, receiver.crc, receiver.promised)
        except TransportError as error:
            return self._failed(lease, receiver, error.info)
        except OSError as error:  # the checksum is of more than what is in the file
            return Failed(lease.lease, 0, lease.crc, local_error(error).info)
        except asyncio.CancelledError:
            return self._failed(lease, receiver, ErrorInfo("Cancelled", "the lease was taken back"))
        finally:
            del self._receivers[lease.lease]
            receiver.close()

    async def _get(self, request: GetRequest, receiver: Receiver) -> None:
        try:
            await self._through(self._transports.choose(request.target), request, receiver)
        except NotSpoken as error:
            await self._through(self._transports.instead(error), request, receiver)

    async def _through(self, transport: Transport, request: GetRequest, receiver: Receiver) -> None:
        if not self._transports.in_threads(transport):
            await transport.get(request, receiver)
            return
        buffer = self._buffers.pop() if self._buffers else memoryview(bytearray(BUFFER_BYTES))
        receiver.use(buffer)
        try:
            await transport.get(request, receiver)
        finally:
            receiver.use(self._shared)
            self._buffers.append(buffer)

    def _failed(self, lease: GetLease, receiver: Receiver, error: ErrorInfo) -> Failed:
        error = self._transports.cleaned(error)
        # Bytes of an unexpected reply do not count, nor those whose checksum a retry could not go on with.
        if error.code == "UnexpectedReply" or receiver.discovered:
            return Failed(lease.lease, 0, lease.crc, error)
        return Failed(lease.lease, receiver.received_bytes, receiver.crc, error)


def _require_promised(receiver: Receiver) -> None:
    """Compare with the checksum that the reply promised, if that was computed on the way.

    Raises:
        IntegrityError: it is another one.
    """
    promised = receiver.promised
    if promised is None or promised.kind is not ChecksumKind.FULL_OBJECT or promised.algorithm not in CRC_BYTES:
        return
    if (computed := encoded_crc(promised.algorithm, receiver.crc)) != promised.value:
        text = f"the bytes have the {promised.algorithm} {computed}, the object has {promised.value}"
        raise IntegrityError(text)
