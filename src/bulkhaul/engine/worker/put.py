"""Sends the bytes of a file by PUT, in a worker: a whole object, or a part of a multipart upload.

    source ─▶ mapped window ─▶ checksum (in a thread, which also reads the pages from the disk) ─▶ socket

Each PUT is tried once; the coordinator decides about retries.
"""

from __future__ import annotations

import asyncio

import msgspec

from bulkhaul.disk.source import SourceWindow, reading_error, require_unchanged
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread, unforeseen
from bulkhaul.engine.messages.messages import Done, Failed, PutLease
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo, TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ChecksumKind
from bulkhaul.model.writing import Stored
from bulkhaul.wire.checksums import encoded_crc, updater
from bulkhaul.wire.option_headers import put_headers
from bulkhaul.wire.transport import TransportError

INLINE_BYTES = MIB
"""Up to this size the checksum is computed on the loop: handing it to a thread would take longer."""


class Sender:
    """Sends bodies, each by the transport that fits its target."""

    def __init__(self, transports: Transports) -> None:
        self._transports = transports
        self._sent: dict[int, int] = {}

    def reached(self) -> list[tuple[int, int]]:
        """Return (lease, bytes sent) of the bodies that are being sent."""
        return list(self._sent.items())

    async def send(self, lease: PutLease, fd: int) -> Done | Failed:
        """Send a body and return what came of it; never raises. After a failure no byte counts as sent."""
        self._sent[lease.lease] = 0
        try:
            return await self._send(lease, fd)
        except (TransportError, TransferError) as error:
            return Failed(lease.lease, 0, 0, self._transports.cleaned(error.info))
        except OSError as error:
            return Failed(lease.lease, 0, 0, reading_error(error, "").info)
        except asyncio.CancelledError:
            return Failed(lease.lease, 0, 0, ErrorInfo("Cancelled", "the lease was taken back"))
        except Exception as error:  # noqa: BLE001 - whatever one object brings about must not end the worker
            info = unforeseen(error, "the part could not be sent")
            return Failed(lease.lease, 0, 0, self._transports.cleaned(info))
        finally:
            del self._sent[lease.lease]

    async def _send(self, lease: PutLease, fd: int) -> Done:
        if lease.end - lease.start <= INLINE_BYTES:
            window, crc = _prepare(lease, fd)
        else:
            # The caller closes the descriptor when this returns or is cancelled, so the thread must have ended by then.
            window, crc = await undisturbed(in_thread(_prepare, lease, fd), undo=_close)
        try:
            checksum = encoded_crc(lease.algorithm, crc) if lease.algorithm else ""
            request = msgspec.structs.replace(lease.request, headers=_headers(lease, checksum))

            def sent(count: int, left: int) -> None:
                self._sent[lease.lease] = count
                if left and lease.unchanged is not None:
                    require_unchanged(fd, lease.unchanged)

            stored = await self._transports.choose(request.target).put(request, window.view, sent)
        finally:
            window.close()
        if checksum:
            _require_same(lease, checksum, stored)
        return Done(lease.lease, lease.end - lease.start, crc, stored=stored)


def _headers(lease: PutLease, checksum: str) -> tuple[tuple[str, str], ...]:
    headers = [] if lease.options is None else put_headers(lease.options)
    if lease.only_if_absent:
        headers.append(("if-none-match", "*"))
    if checksum:
        headers.append((f"x-amz-checksum-{lease.algorithm.lower()}", checksum))
    return tuple(headers)


def _require_same(lease: PutLease, checksum: str, stored: Stored) -> None:
    """Compare the checksum in the reply with the one that was sent: some services tell one, but check none.

    Raises:
        TransportError: they differ.
    """
    if not (cause := other_checksum(lease.algorithm, checksum, stored)):
        return
    # A conditional write cannot be tried again: the object that it has just stored would fail the condition.
    code = "IntegrityError" if lease.only_if_absent else "BodyCorrupted"
    raise TransportError(ErrorInfo(code, "the service stored other bytes than were sent", cause=cause))


def other_checksum(algorithm: str, checksum: str, stored: Stored) -> str:
    """Return in words how the checksum in a reply differs from the one that was sent, empty if it does not."""
    told, kind = stored.checksum, (algorithm, ChecksumKind.FULL_OBJECT)
    if not checksum or told is None or (told.algorithm, told.kind) != kind or told.value == checksum:
        return ""
    return f"{algorithm} {told.value}, {checksum} was sent"


def _close(prepared: tuple[SourceWindow, int]) -> None:
    prepared[0].close()


def _prepare(lease: PutLease, fd: int) -> tuple[SourceWindow, int]:
    window = SourceWindow(fd, lease.start, lease.end)
    if not lease.algorithm:
        return window, 0
    try:
        return window, updater(lease.algorithm)(window.view, 0)
    except BaseException:
        window.close()
        raise
