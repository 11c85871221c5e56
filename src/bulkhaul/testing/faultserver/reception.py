"""Receives one request's body the way a `Reception` says: in bounded pieces, with a pause or an end where told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bulkhaul.testing.faultserver.faults import Reception, Request, sleep
from bulkhaul.testing.faultserver.http1 import Connection, HttpRequest


class Receiver:
    """Reads the body of one request from one connection, and counts it into the record."""

    def __init__(self, connection: Connection, request: Request, http: HttpRequest) -> None:
        self._connection = connection
        self._request = request
        self._http = http
        self._pieces: AsyncIterator[bytes] | None = None
        self._body = bytearray()

    @property
    def body(self) -> bytes:
        """What was received so far."""
        return bytes(self._body)

    async def receive(self, reception: Reception) -> bool:
        """Receive it all, or up to the limit; tell whether there is anything to reply to."""
        if reception.limit != 0:
            await self._read(reception)
        if reception.ending == "stall":
            await self._connection.wait_until_hung_up()
            self._connection.close()
        elif reception.ending is not None:
            await self._connection.end(reception.ending)
        return reception.ending is None

    async def dispose_of_rest(self, reception: Reception) -> bool:
        """Do with the rest of the body as told; tell whether the connection can be used again."""
        if reception.rest == "reset":
            await self._connection.end("reset")
            return False
        if reception.rest == "close":
            await self._connection.finish_sending()
            await self._connection.wait_until_gone()
            self._connection.close()
            return False
        # A client that waits for "100 Continue" has got a final reply instead: it sends no body.
        if self._pieces is not None or not self._http.expects_continue:
            async for piece in self._started():
                self._request.bytes_received += len(piece)
        return True

    async def _read(self, reception: Reception) -> None:
        pause_at, pause = reception.pause or (None, 0.0)
        if pause_at == 0:
            await sleep(pause)
        async for piece in self._started():
            before = len(self._body)
            wanted = len(piece) if reception.limit is None else min(len(piece), reception.limit - before)
            self._body += piece[:wanted]
            self._request.bytes_received += wanted
            if pause_at is not None and before < pause_at <= before + wanted:
                await sleep(pause)
            if reception.bytes_per_s is not None:
                await asyncio.sleep(wanted / reception.bytes_per_s)
            if len(self._body) == reception.limit:
                return

    def _started(self) -> AsyncIterator[bytes]:
        if self._pieces is None:
            self._pieces = self._connection.body_pieces(self._http)
        return self._pieces
