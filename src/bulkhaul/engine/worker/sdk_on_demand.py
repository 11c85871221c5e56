"""Makes the worker's boto3 client when something first needs it: its import costs more than most runs of a command.

settled without the SDK    nothing is imported; the client is made in a thread, once, if a request needs it
not settled                the forkserver has made it, and every worker has inherited it
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.model.errors import TransferError
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import Stored
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.learned import Learned
from bulkhaul.wire.request_log import RequestLog
from bulkhaul.wire.throttle import Throttle
from bulkhaul.wire.transport import OnSent, Sink, Transport, TransportError
from bulkhaul.wire.values import Credentials, GetRequest, PutRequest

if TYPE_CHECKING:
    from bulkhaul.wire.sdk.client import SdkClient


class SdkOnDemand:
    """The boto3 client of a worker.

    Attributes:
        learned: what endpoints do not take; the client shares it.
    """

    def __init__(self, settings: Settings, made: SdkClient | None = None, log: RequestLog | None = None) -> None:
        """Make nothing yet.

        Args:
            made: a client that is there already.
            log: told of each request, if it is on.
        """
        self.learned = Learned() if made is None else made.learned
        self._settings = settings
        self._log = log or RequestLog()
        self._made = made
        if made is not None:
            made.log = self._log
        self._lock = threading.Lock()
        self._credentials: tuple[Credentials | None] | None = None  # once they are known

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        with self._lock:
            self._credentials = (credentials,)
            if self._made is not None:
                self._made.use(credentials)

    async def client(self) -> SdkClient:
        """Return the client, made in a thread the first time.

        Raises:
            UsageError: the settings cannot be used together.
        """
        return self._made if self._made is not None else await in_thread(self._make)

    def _make(self) -> SdkClient:
        from bulkhaul.wire.sdk.client import SdkClient

        with self._lock:
            if self._made is None:
                made = SdkClient(self._settings, self.learned)
                made.log = self._log
                if self._credentials is not None:
                    made.use(self._credentials[0])
                self._made = made
            return self._made


class TransportOnDemand:
    """The SDK's transport, made with the client when a body first needs it."""

    def __init__(
        self,
        settings: Settings,
        sdk: SdkOnDemand,
        throttle: Throttle | None,
        connections: int,
        first_bytes: FirstBytes,
    ) -> None:
        self._settings = settings
        self._sdk = sdk
        self._throttle = throttle
        self._connections = connections
        self._first_bytes = first_bytes
        self._made: Transport | None = None

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        self._sdk.use(credentials)

    def drop_idle(self) -> None:
        """Close connections that have been unused for the idle time."""
        if self._made is not None:
            self._made.drop_idle()

    async def get(self, request: GetRequest, sink: Sink) -> None:
        """Fetch ``[start, end)`` into ``sink``; see ``Transport.get``."""
        await (await self._transport()).get(request, sink)

    async def put(self, request: PutRequest, body: memoryview, on_sent: OnSent) -> Stored:
        """Send ``body``, whole; see ``Transport.put``."""
        return await (await self._transport()).put(request, body, on_sent)

    async def _transport(self) -> Transport:
        if self._made is not None:
            return self._made
        try:
            client = await self._sdk.client()
        except TransferError as error:
            raise TransportError(error.info) from error
        from bulkhaul.wire.sdk.sdk_transport import SdkTransport

        if self._made is None:
            self._made = SdkTransport(self._settings, client, self._throttle, self._connections, self._first_bytes)
        return self._made
