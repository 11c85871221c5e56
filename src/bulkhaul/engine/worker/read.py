"""Reads one object, or a range of it, into anonymous memory, in a worker; it must not know who wants it or why."""

from __future__ import annotations

import os

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.window import BUFFER_BYTES, WrittenWindow
from bulkhaul.engine.messages.requests import Read
from bulkhaul.engine.worker.get import Receiver
from bulkhaul.engine.worker.transports import Wires
from bulkhaul.model.errors import IntegrityError, error_of
from bulkhaul.model.objects import ChecksumKind
from bulkhaul.wire.checksums import CRC_BYTES, encoded_crc
from bulkhaul.wire.transport import NotSpoken, TransportError
from bulkhaul.wire.values import GetRequest


class Reader:
    """Answers Read requests."""

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    async def read(self, request: Read, fd: int) -> None:
        """Put the bytes into ``fd`` from its beginning on.

        Raises:
            TransferError: the service or the connection failed, or the bytes are not those that were promised.
        """
        whole = request.end < 0
        start = 0 if whole else request.start
        get = GetRequest(request.target, request.bucket, request.key, "", start, request.end, -1, whole)
        try:
            os.ftruncate(fd, 0)
            window = WrittenWindow(fd, 0, 0, memoryview(bytearray(BUFFER_BYTES)))
            receiver = Receiver(window, "", 0, learn=whole)
            try:
                await self._get(get, receiver)
            finally:
                receiver.close()
        except TransportError as error:
            raise error_of(error.info) from error
        except OSError as error:
            raise local_error(error) from error
        _check(receiver)

    async def _get(self, request: GetRequest, receiver: Receiver) -> None:
        try:
            await self._wires.choose(request.target).get(request, receiver)
        except NotSpoken as error:
            await self._wires.instead(error).get(request, receiver)


def _check(receiver: Receiver) -> None:
    promised = receiver.promised
    if promised is None or promised.kind is not ChecksumKind.FULL_OBJECT or promised.algorithm not in CRC_BYTES:
        return
    if (computed := encoded_crc(promised.algorithm, receiver.crc)) != promised.value:
        text = f"the bytes have the {promised.algorithm} {computed}, the object has {promised.value}"
        raise IntegrityError(text)
