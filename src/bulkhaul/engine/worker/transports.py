"""Chooses the transport of each request, the fast one or the SDK's, and hides secrets in the errors of both."""

from __future__ import annotations

from typing import Protocol

from bulkhaul.model.errors import ErrorInfo, Unsupported
from bulkhaul.model.settings import TransportChoice
from bulkhaul.wire.masking import Mask
from bulkhaul.wire.small_exchanges import Rows
from bulkhaul.wire.small_gets import Wanted
from bulkhaul.wire.small_puts import Given
from bulkhaul.wire.transport import NotSpoken, Transport, TransportError
from bulkhaul.wire.values import Credentials, Target

MAX_TEXT = 500
"""Longest text of an error, in characters: enough to understand it, and short enough for many in one frame."""


class SmallTransport(Transport, Protocol):
    """A transport that also moves many small objects over one connection."""

    async def get_small(self, target: Target, rows: Rows[Wanted]) -> None:
        """Fetch small objects over one connection at a time, until the rows give no more."""
        ...

    async def put_small(self, target: Target, rows: Rows[Given]) -> None:
        """Send small objects likewise."""
        ...


class Transports:
    """The two transports of a worker."""

    def __init__(
        self, choice: TransportChoice, fast: SmallTransport, sdk: Transport, *, secrets: tuple[str, ...]
    ) -> None:
        """Take the transports.

        Args:
            secrets: texts that no error may show, besides the credentials.
        """
        self._choice = choice
        self._fast = fast
        self._sdk = sdk
        self._always_secret = secrets
        self._held = Credentials("", "")
        self._mask = Mask(secrets)

    def use(self, credentials: Credentials | None) -> None:
        """Sign further requests with these."""
        last, self._held = self._held, credentials or Credentials("", "")
        # A request that was signed with the last credentials may still be answered, and its reply may show them.
        hidden = [secret for held in (last, self._held) for secret in (held.secret_key, held.token)]
        self._mask = Mask((*self._always_secret, *hidden))
        self._fast.use(credentials)
        self._sdk.use(credentials)

    def drop_idle(self) -> None:
        """Close connections that were not used for long."""
        self._fast.drop_idle()
        self._sdk.drop_idle()

    def choose(self, target: Target) -> Transport:
        """Return the transport for a request to ``target``.

        Raises:
            TransportError: the settings ask for the fast transport, and it cannot make the request.
        """
        if self._choice == "fast" and not target.fast:
            text = f"the fast transport cannot be used: {target.why_not}; use --transport auto"
            raise TransportError(ErrorInfo("Unsupported", text))
        return self._fast if self._choice != "sdk" and target.fast else self._sdk

    def in_threads(self, transport: Transport) -> bool:
        """Whether a transport fills a sink from a thread, beside what happens on the loop."""
        return transport is self._sdk

    def instead(self, error: NotSpoken) -> Transport:
        """Return the transport for a request whose reply the fast one does not read.

        Raises:
            TransportError: the settings ask for the fast transport only.
        """
        if self._choice == "fast":
            text = f"the fast transport does not read {error}; use --transport auto"
            raise TransportError(ErrorInfo("Unsupported", text)) from error
        return self._sdk

    async def get_small(self, target: Target, rows: Rows[Wanted]) -> None:
        """Fetch small objects over one connection; only the fast transport can.

        Raises:
            TransferError: the settings or the target ask for the SDK's.
        """
        await self._require_fast(target).get_small(target, rows)

    async def put_small(self, target: Target, rows: Rows[Given]) -> None:
        """Send small objects likewise.

        Raises:
            TransferError: the settings or the target ask for the SDK's.
        """
        await self._require_fast(target).put_small(target, rows)

    def _require_fast(self, target: Target) -> SmallTransport:
        if self._choice == "sdk" or not target.fast:
            raise Unsupported(f"batches need the fast transport: {target.why_not}")
        return self._fast

    def hide(self, text: str) -> str:
        """Return a text without secrets."""
        return self._mask.hide(text)

    def cleaned(self, info: ErrorInfo) -> ErrorInfo:
        """Return an error without secrets that a service may have echoed (I5), cut to what a reader needs."""
        return ErrorInfo(
            code=info.code,
            message=self._masked(info.message),
            subject=info.subject,
            cause=self._masked(info.cause),
            status=info.status,
            service_code=self._masked(info.service_code)[:100],
            request_id=self._masked(info.request_id)[:200],
            host_id=self._masked(info.host_id)[:200],
            retry_after_s=info.retry_after_s,
            unreached=info.unreached,
            garbled=info.garbled,
        )

    def _masked(self, text: str) -> str:
        return self._mask.hide(text)[:MAX_TEXT]
