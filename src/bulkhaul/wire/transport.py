"""The small interface between whoever moves bytes and the two ways of moving them; it must not know either way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum
from bulkhaul.model.writing import Stored
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest


class Sink(Protocol):
    """Where a body goes. A transport tells what to expect, asks for space, fills it, and says how much came."""

    def expect(self, checksum: Checksum | None) -> None:
        """Told once before the first byte: the checksum that the reply promises for the whole object, if any."""
        ...

    def space(self) -> memoryview:
        """Return writable space for the next bytes, never empty while bytes are missing."""
        ...

    def received(self, count: int) -> None:
        """Take the first ``count`` bytes of the space last returned as the next of the body.

        Raises:
            OSError: they could not be stored.
        """
        ...


OnSent = Callable[[int, int], None]
"""Told how much of a body has left and how much has not; the last time before the end just ahead of its last piece.

It raises TransferError to break the body off, which then never counts as stored.
"""


class TransportError(Exception):
    """A request failed; ``info`` says how. What reached the sink of a GET before is in place and stays."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info)
        self.info = info


class NotSpoken(Exception):
    """A reply that the fast transport does not read (chunked, no length): the SDK is asked instead."""


class Transport(Protocol):
    """Sends GETs and PUTs; of a GET it lets only a checked body through."""

    async def get(self, request: GetRequest, sink: Sink) -> None:
        """Fetch exactly ``[start, end)`` into ``sink``.

        Raises:
            TransportError: the reply was refused or broke; the sink holds the bytes up to there.
            OSError: the sink could not store the bytes.
        """
        ...

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole.

        Raises:
            TransportError: the service refused, or no complete reply came: it may or may not have taken effect.
            TransferError: ``on_sent`` has broken it off.
        """
        ...

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these, or not at all with None."""
        ...

    def drop_idle(self) -> None:
        """Close connections that have been unused for the idle time."""
        ...
