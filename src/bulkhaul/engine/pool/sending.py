"""Hands bodies to the workers, one PUT each; it must not know uploads, journals or where a body comes from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from bulkhaul.engine.pool.arrival import arrival
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import Sending
from bulkhaul.engine.pool.requests import Desk
from bulkhaul.model.errors import TransferError, error_of
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.writing import ObjectOptions, Stored
from bulkhaul.policy.layout import Layout


class Sent:
    """A body that the service has taken: what it said, and the checksum of what was sent."""

    def __init__(self, stored: Stored, crc: int, retries: int) -> None:
        self.stored = stored
        self.crc = crc
        self.retries = retries


class Outbox:
    """Sends bodies through the state machine: leases, retries, deadlines and deaths are its affair."""

    def __init__(self, dispatcher: Dispatcher, desk: Desk) -> None:
        self._dispatcher = dispatcher
        self._desk = desk

    async def send(
        self,
        ref: ObjectRef,
        fd: int,
        start: int,
        size_bytes: int,
        *,
        algorithm: str,
        options: ObjectOptions | None = None,
        only_if_absent: bool = False,
        upload_id: str = "",
        number: int = 0,
        unchanged: SourceIdentity | None = None,
        on_moved: Callable[[int], None] | None = None,
    ) -> Sent:
        """PUT ``[start, start + size_bytes)`` of a file; no worker touches it any more when this returns or raises.

        Args:
            on_moved: called with the bytes of this body that have left.

        Raises:
            UsageError: a name or an option cannot be sent.
            TransferError: the service refused, or all tries failed.
        """
        sending = Sending(
            # An empty body is a request too, so it has a part of its own.
            layout=Layout(size_bytes, max(1, size_bytes), starts=() if size_bytes else (0,), whole=True),
            target=await self._desk.target(ref.bucket),
            bucket=ref.bucket,
            key=ref.key,
            algorithm=algorithm,
            fd=fd,
            start=start,
            arrived=asyncio.get_running_loop().create_future(),
            options=options,
            only_if_absent=only_if_absent,
            upload_id=upload_id,
            number=number,
            unchanged=unchanged,
            on_moved=on_moved,
        )
        self._dispatcher.move(sending)
        kept = False
        try:
            table = await arrival(self._dispatcher, sending)
            kept = True
        except TransferError as error:
            raise error_of(msgspec.structs.replace(error.info, attempts=sending.attempts)) from error
        finally:
            self._dispatcher.close(sending.transfer, kept=kept)
        return Sent(sending.stored, int(table["crc"][0]), sending.retries)
