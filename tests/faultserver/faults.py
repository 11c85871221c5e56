"""Faults as values: which exchange one hits, and how often it did.

Job: address a fault, count its firings, hand each exchange the faults that hit it. What a fault
does is in `on_store`, `on_reply` and `on_wire`. Must not know sockets.

One request passes three hooks, and each of them gets every fault that hits the request, in the
order of the plan:

    before(exchange)        change the store, or answer instead of the operation
    reshape(exchange, reply)    change what the head says, or which bytes follow
    deliver(reply, delivery)    change how the reply goes onto the wire

A hook that finds nothing to do returns None, and then the fault has not fired.

Addresses. A *part* is what one range of an object is asked for: ranges that end at the same
offset are attempts on the same part, because a resumed request begins later and ends alike. So
``attempt`` counts on through resumption, and ``start`` is where the part's first request began.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from .http1 import Ending, Reply

if TYPE_CHECKING:
    from .s3 import Store


@dataclass(slots=True)
class Request:
    """What arrived, in order of arrival, and what became of it.

    ``range`` is the half-open byte range that the Range header asked for (its end is not clipped
    to the object), or None. ``part`` counts the distinct parts of this operation and key from 1,
    ``attempt`` counts the requests for this part from 1. Instants are ``time.monotonic()``.
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
    finished_s: float | None = None
    status: int | None = None
    bytes_sent: int = 0
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request with what a fault may look at: where its part began, and the store."""

    request: Request
    start: int
    store: Store


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply goes onto the wire; the default is: at once, whole, connection kept.

    ``head_limit`` and ``body_limit`` are how many bytes of each go out before ``ending``;
    ``pause`` is (after how many body bytes, how many seconds).
    """

    delay_s: float = 0.0
    interim: bytes = b""
    edit_head: tuple[Callable[[bytes], bytes], ...] = ()
    head_step_bytes: int | None = None
    head_limit: int | None = None
    body_limit: int | None = None
    ending: Ending | None = None
    bytes_per_s: float | None = None
    pause: tuple[int, float] | None = None
    chunk_size_bytes: int | None = None
    extra: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The address that every fault has; on its own it hits and does nothing.

    Attributes:
        operation: as boto3 names it, or None for any.
        key: fnmatch pattern for the key (for a listing: its prefix), or None for any.
        start: where the part begins in the object, or None for any.
        part: the nth distinct part in order of arrival, from 1, or None for any.
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

    def before(self, exchange: Exchange) -> Reply | bool | None:
        """Answer instead of the operation (a reply), change the store (True), or do nothing (None)."""
        return None

    def reshape(self, exchange: Exchange, reply: Reply) -> Reply | None:
        """Return another reply, or None to leave it."""
        return None

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Return another delivery, or None to leave it."""
        return None


@dataclass(slots=True)
class _Count:
    fault: Fault
    addressed: int = 0
    fired: int = 0
    first_fired_s: float | None = None

    def admits(self, exchange: Exchange) -> bool:
        fault = self.fault
        if not fault.addresses(exchange):
            return False
        self.addressed += 1
        if fault.nth is not None and self.addressed != fault.nth:
            return False
        if fault.times is not None and self.fired >= fault.times:
            return False
        if fault.for_s is None or self.first_fired_s is None:
            return True
        return exchange.request.arrived_s - self.first_fired_s < fault.for_s


class FaultPlan:
    """The faults of one server with their counts; used by the server's thread alone."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._counts = [_Count(fault) for fault in faults]

    def add(self, fault: Fault) -> None:
        """Append a fault; it counts from now on."""
        self._counts.append(_Count(fault))

    def select(self, exchange: Exchange) -> Selection:
        """Return the faults that hit this exchange, in the order of the plan."""
        return Selection(exchange, [count for count in self._counts if count.admits(exchange)])

    def fired(self, fault: Fault) -> int:
        """Return how many exchanges this very fault has hit."""
        return sum(count.fired for count in self._counts if count.fault is fault)

    def never_fired(self) -> list[Fault]:
        """Return the faults that have not hit anything."""
        return [count.fault for count in self._counts if not count.fired]


class Selection:
    """The faults that hit one exchange; marks each as fired once, when it does something."""

    def __init__(self, exchange: Exchange, counts: list[_Count]) -> None:
        self._exchange = exchange
        self._counts = counts
        self._fired: list[_Count] = []

    def before(self) -> Reply | None:
        """Run the first hook of every fault; the first reply stands."""
        answer: Reply | None = None
        for count in self._counts:
            result = count.fault.before(self._exchange)
            if isinstance(result, Reply):
                answer = answer or result
            if result is not None:
                self._mark(count)
        return answer

    def reshape(self, reply: Reply) -> Reply:
        """Run the second hook of every fault over the reply."""
        for count in self._counts:
            changed = count.fault.reshape(self._exchange, reply)
            if changed is not None:
                reply = changed
                self._mark(count)
        return reply

    def deliver(self, reply: Reply) -> Delivery:
        """Run the third hook of every fault over the plain delivery."""
        delivery = Delivery()
        for count in self._counts:
            changed = count.fault.deliver(reply, delivery)
            if changed is not None:
                delivery = changed
                self._mark(count)
        return delivery

    def _mark(self, count: _Count) -> None:
        if any(count is one for one in self._fired):
            return
        self._fired.append(count)
        count.fired += 1
        if count.first_fired_s is None:
            count.first_fired_s = time.monotonic()
        self._exchange.request.faults += (count.fault.kind,)
