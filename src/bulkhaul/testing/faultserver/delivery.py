"""Sends one reply the way a `Delivery` says: bytes, pauses and an ending, in order."""

from __future__ import annotations

import asyncio

from bulkhaul.testing.faultserver.contents import PIECE_SIZE_BYTES
from bulkhaul.testing.faultserver.faults import Delivery, Request, sleep
from bulkhaul.testing.faultserver.http1 import Connection, Reply, head_bytes

_DRIPS_PER_S = 10


class Sender:
    """Writes one reply to one connection, and counts the body bytes into the record."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self._connection = connection
        self._request = request

    async def send(self, reply: Reply, delivery: Delivery, *, bodiless: bool) -> bool:
        """Send it all, or up to the limit; tell whether the connection can be used again."""
        if delivery.delay_s:
            await asyncio.sleep(delivery.delay_s)
        head = head_bytes(reply)
        for edit in delivery.edit_head:
            head = edit(head)
        head = delivery.interim + head
        ending = delivery.ending or "close"
        if delivery.head_limit is not None:
            await self._connection.write(head[: delivery.head_limit])
            await self._connection.end(ending)
            return False
        for piece in _steps(head, delivery.head_step_bytes):
            await self._connection.write(piece)
        limit = reply.length if delivery.body_limit is None else delivery.body_limit
        if not bodiless:
            await self._send_body(reply, delivery, reply.start + min(limit, reply.length))
        if delivery.extra:
            await self._connection.write(delivery.extra)
        if delivery.ending is None:
            return True
        await self._connection.end(delivery.ending)
        return False

    async def _send_body(self, reply: Reply, delivery: Delivery, end: int) -> None:
        offset = reply.start
        pause_at = None if delivery.pause is None else reply.start + delivery.pause[0]
        while offset < end:
            if delivery.pause is not None and offset == pause_at:
                await sleep(delivery.pause[1])
            size = PIECE_SIZE_BYTES
            if delivery.bytes_per_s is not None:
                size = min(size, max(1, int(delivery.bytes_per_s / _DRIPS_PER_S)))
            if delivery.chunk_size_bytes is not None:
                size = min(size, delivery.chunk_size_bytes)
            stop = min(offset + size, end)
            if pause_at is not None and offset < pause_at < stop:
                stop = pause_at
            piece = reply.content.read(offset, stop)
            if delivery.chunk_size_bytes is not None:
                piece = b"%x\r\n%b\r\n" % (len(piece), bytes(piece))
            await self._connection.write(piece)
            self._request.bytes_sent += stop - offset
            if delivery.bytes_per_s is not None:
                await asyncio.sleep((stop - offset) / delivery.bytes_per_s)
            offset = stop
        if delivery.chunk_size_bytes is not None and end == reply.end:
            await self._connection.write(b"0\r\n\r\n")


def _steps(data: bytes, step: int | None) -> list[bytes]:
    if step is None:
        return [data]
    return [data[offset : offset + step] for offset in range(0, len(data), step)]
