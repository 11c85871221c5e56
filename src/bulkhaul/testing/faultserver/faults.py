"""Defines faults as values: which exchange one hits, and at which of its steps it may act.

The address that every fault has is here, and what each step of an exchange lets it change. What a
fault does is in the `on_...` modules; who counts is `plan`.

One request passes five hooks, and each of them gets every fault that hits the request, in the
order of the plan:

    receive(exchange, reception)    change how the body is received, or end or answer before it is
    rewrite(exchange, http)     change the request as the service sees it, with its body
    before(exchange)        answer instead of the service, or change what it holds
    reshape(exchange, reply)    change what the head says, or which bytes follow
    deliver(reply, delivery)    change how the reply goes onto the wire

A hook that finds nothing to do returns None, and then the fault has not fired.

Addresses. A *part* is what one range of an object is asked for: ranges that end at the same
offset are attempts on the same part, because a resumed request begins later and ends alike. So
``attempt`` counts on through resumption, and ``start`` is where the part's first request began.
For UploadPart and UploadPartCopy ``part`` is the number that the request names, and attempts count on
over uploads of the same key. Every page of a listing is a part.
"""

# ruff: noqa: ARG002 - a hook is given what others of its kind need

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from bulkhaul.testing.faultserver.http1 import Ending, HttpRequest, Reply

#: So many seconds, or until a test sets the event: what it does meanwhile may take its time.
Pause = float | threading.Event
_POLL_S = 0.01


async def sleep(pause: Pause) -> None:
    """Return when a pause is over."""
    if isinstance(pause, threading.Event):
        while not pause.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(_POLL_S)
    else:
        await asyncio.sleep(pause)


@dataclass(slots=True)
class Request:
    """What arrived, in order of arrival, and what became of it.

    ``range`` is the half-open byte range that the Range header asked for (its end is not clipped
    to the object), or None. ``part`` is the number that UploadPart or UploadPartCopy names, else it
    counts the distinct parts of this operation and key from 1; ``attempt`` counts the requests for
    this part from 1. ``body_size_bytes`` is the announced length of the body (None: chunked), and
    ``bytes_received`` what came of it so far. Instants are ``time.monotonic()``.
    """

    index: int
    operation: str
    bucket: str
    key: str
    range: tuple[int, int] | None
    part_number: int | None
    part: int
    attempt: int
    headers: dict[str, str]
    connection_id: int
    arrived_s: float
    query: dict[str, str] = field(default_factory=dict)
    upload_id: str | None = None
    body_size_bytes: int | None = 0
    bytes_received: int = 0
    finished_s: float | None = None
    status: int | None = None
    bytes_sent: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with what a fault may look at: where its part began."""

    request: Request
    start: int


@dataclass(frozen=True, slots=True)
class Reception:
    """How the body of a request is received; the default is: at once and whole.

    After ``limit`` body bytes either the connection ends (``ending``; "stall" reads no further), or
    ``early`` is replied and then what is left of the body is read and dropped ("drain": the
    connection goes on; "close": it ends with the client) or not read at all ("reset").
    ``pause`` is (after how many body bytes, for how long). The operation waits for what ``held``
    returns.
    """

    limit: int | None = None
    ending: Ending | None = None
    early: Reply | None = None
    rest: Literal["drain", "close", "reset"] = "drain"
    pause: tuple[int, Pause] | None = None
    bytes_per_s: float | None = None
    held: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply goes onto the wire; the default is: at once, whole, connection kept.

    ``head_limit`` and ``body_limit`` are how many bytes of each go out before ``ending``;
    ``pause`` is (after how many body bytes, for how long).
    """

    delay_s: float = 0.0
    interim: bytes = b""
    edit_head: tuple[Callable[[bytes], bytes], ...] = ()
    head_step_bytes: int | None = None
    head_limit: int | None = None
    body_limit: int | None = None
    ending: Ending | None = None
    bytes_per_s: float | None = None
    pause: tuple[int, Pause] | None = None
    chunk_size_bytes: int | None = None
    extra: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The address that every fault has; on its own it hits and does nothing.

    Attributes:
        operation: as boto3 names it, or None for any.
        key: fnmatch pattern for the key (for a listing: its prefix), or None for any.
        start: where the part begins in the object, or None for any.
        part: the number that UploadPart or UploadPartCopy names, else the nth distinct part in order of
            arrival, from 1; None for any.
        attempt: the nth request for the part, from 1, or "every".
        nth: only the nth request, from 1, of those that the above let through.
        times: fires at most this often.
        for_s: fires only during so many seconds from its first firing.
    """

    operation: str | None = "GetObject"
    key: str | None = None
    start: int | None = None
    part: int | None = None
    attempt: int | Literal["every"] = 1
    nth: int | None = None
    times: int | None = None
    for_s: float | None = None

    @property
    def kind(self) -> str:
        """The name of what this fault does."""
        return type(self).__name__

    def addresses(self, exchange: Exchange) -> bool:
        """Tell whether this fault is meant for the exchange, whatever its counts say."""
        request = exchange.request
        return (
            self.operation in (None, request.operation)
            and (self.key is None or fnmatchcase(request.key, self.key))
            and self.start in (None, exchange.start)
            and self.part in (None, request.part)
            and self.attempt in ("every", request.attempt)
        )

    def receive(self, exchange: Exchange, reception: Reception) -> Reception | None:
        """Return another way to receive the body, or None to leave it."""
        return None

    def rewrite(self, exchange: Exchange, http: HttpRequest) -> HttpRequest | None:
        """Return another request for the service to see, or None to leave it."""
        return None

    def before(self, exchange: Exchange) -> Reply | bool | None:
        """Answer instead of the operation (a reply), change the store (True), or do nothing (None)."""
        return None

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Return another reply, or None to leave it."""
        return None

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Return another delivery, or None to leave it."""
        return None
