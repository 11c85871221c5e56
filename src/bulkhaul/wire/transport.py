"""The protocol of transports: what ``fast_transport`` and ``sdk.sdk_transport`` both offer, and what they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Checksum
from bulkhaul.model.writing import Stored
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest


class Sink(Protocol):
    """Where a body goes. A transport calls ``expect`` once, then asks for space, fills it, and tells how much came."""

    def expect(self, checksum: Checksum | None) -> None:
        """Take the checksum that the reply tells of the whole object, if any; called once, before the first byte."""
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
"""Called with the bytes of a body that have left and those that have not; also just before the last piece leaves.

It may raise TransferError to break the body off, which then never counts as stored.
"""


class TransportError(Exception):
    """A request failed; ``info`` tells how. The bytes that had reached the sink of a GET stay there."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info)
        self.info = info


class NotSpoken(Exception):
    """The fast transport does not read such a reply (chunked, or without a length): the SDK's is used instead."""


class Transport(Protocol):
    """Sends GETs and PUTs. A body reaches the sink only after its reply has passed ``reply.check_get``."""

    async def get(self, request: GetRequest, sink: Sink) -> None:
        """Fetch exactly ``[start, end)`` into ``sink``.

        Raises:
            TransportError: the reply was refused, or broke off; the sink holds the bytes before that.
            OSError: the sink could not store the bytes.
        """
        ...

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole.

        Raises:
            TransportError: the service refused, or no complete reply came: the body may be stored or not.
            TransferError: ``on_sent`` raised it.
        """
        ...

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these, or not at all with None."""
        ...

    def drop_idle(self) -> None:
        """Close connections that have been unused for the idle time."""
        ...
