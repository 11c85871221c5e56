"""Faults of receiving: the body is cut, stalled, answered too early, or arrives damaged.

Job: change how a request's body is received, or what of it the service sees; nothing here has
happened in the store unless it says so. Must not know how a body is read.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from bulkhaul.testing.faultserver.faults import Exchange, Fault, Reception
from bulkhaul.testing.faultserver.http1 import Ending, HttpRequest
from bulkhaul.testing.faultserver.replies import ERROR_STATUS, error_reply

from .store import store_of


def _limit(exchange: Exchange, after_bytes: int) -> int | None:
    """Return how many body bytes to read, or None if the body is shorter than that."""
    size = exchange.request.body_size_bytes
    if size is None:
        return after_bytes if after_bytes >= 0 else None
    limit = after_bytes if after_bytes >= 0 else size + after_bytes
    return limit if 0 <= limit <= size else None


@dataclass(frozen=True, kw_only=True)
class CutReceiving(Fault):
    """Ends the connection after ``after_bytes`` bytes of the body, without effect and without a reply.

    0 is before the body (a client that waits for "100 Continue" gets none); negative counts from the
    end; the length itself: all was received, and still nothing happened. Not fired by a shorter body.
    """

    operation: str | None = "PutObject"
    after_bytes: int = 0
    how: Ending = "reset"

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Limit the body, with an ending."""
        limit = _limit(exchange, self.after_bytes)
        return None if limit is None else replace(reception, limit=limit, ending=self.how)


@dataclass(frozen=True, kw_only=True)
class StallReceiving(Fault):
    """Stops reading after ``after_bytes`` bytes of the body: for ever, for a while, or until an event.

    What the kernels buffer still leaves the client; see ``receive_buffer_bytes`` of the server.
    """

    operation: str | None = "PutObject"
    after_bytes: int = 0
    seconds: float | None = None
    until: threading.Event | None = None

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Limit the body with an open end, or pause in it."""
        limit = _limit(exchange, self.after_bytes)
        if limit is None:
            return None
        pause = self.seconds if self.until is None else self.until
        if pause is None:
            return replace(reception, limit=limit, ending="stall")
        return replace(reception, pause=(limit, pause))


@dataclass(frozen=True, kw_only=True)
class SlowReceiving(Fault):
    """Reads the body at ``bytes_per_s``."""

    operation: str | None = "PutObject"
    bytes_per_s: float

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Set the speed."""
        if exchange.request.body_size_bytes == 0:
            return None
        return replace(reception, bytes_per_s=self.bytes_per_s)


@dataclass(frozen=True, kw_only=True)
class EarlyReply(Fault):
    """Answers with an S3 error after ``after_bytes`` bytes of the body, without effect.

    ``rest`` is what becomes of the remaining body: "drain" reads it and keeps the connection;
    "close" says Connection: close and reads it until the client has closed; "reset" says the same
    and never reads it, so that a client that goes on sending meets a reset.
    """

    operation: str | None = "PutObject"
    code: str
    status: int = 0
    after_bytes: int = 0
    rest: Literal["drain", "close", "reset"] = "close"
    headers: Mapping[str, str] = field(default_factory=dict)

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Limit the body, with the error document."""
        limit = _limit(exchange, self.after_bytes)
        if limit is None:
            return None
        headers = {**self.headers, **({} if self.rest == "drain" else {"Connection": "close"})}
        status = self.status or ERROR_STATUS[self.code]
        early = error_reply(status, self.code, "injected by the fault server", exchange.request.key, headers)
        return replace(reception, limit=limit, early=early, rest=self.rest)


@dataclass(frozen=True, kw_only=True)
class FlipReceivedBit(Fault):
    """Inverts one bit of the received payload (without aws-chunked framing) before it is checked and stored."""

    operation: str | None = "PutObject"
    offset: int = 0
    bit: int = 0

    def rewrite(self, exchange: Exchange, http: HttpRequest) -> HttpRequest | None:
        """Change the body, if it reaches that far."""
        if self.offset >= len(http.body):
            return None
        body = bytearray(http.body)
        body[self.offset] ^= 1 << self.bit
        return replace(http, body=bytes(body))


@dataclass(frozen=True, kw_only=True)
class LandLate(Fault):
    """Lets a part land just after its upload was aborted, and brings the upload back with it.

    The request is held, received whole, until the upload that it names was aborted; then the part is
    stored as if that had been still in progress. The reply is sent to whoever still listens.
    """

    operation: str | None = "UploadPart"

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Hold the operation, if the upload is there."""
        uploads, upload_id = store_of(exchange).uploads, exchange.request.upload_id or ""
        known = uploads.is_pending(upload_id)
        return replace(reception, held=partial(uploads.wait_until_aborted, upload_id)) if known else None

    def before(self, exchange: Exchange) -> bool:
        """Bring the upload back; the part then lands in it."""
        store_of(exchange).uploads.revive(exchange.request.upload_id or "")
        return True
