"""Decides which faults hit an exchange, counts how often each did, and hands each step of an exchange to them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bulkhaul.testing.faultserver.faults import Delivery, Exchange, Fault, Reception
from bulkhaul.testing.faultserver.http1 import HttpRequest, Reply


@dataclass(slots=True)
class _Count:
    fault: Fault
    addressed: int = 0
    fired: int = 0
    first_fired_s: float | None = None

    @property
    def spent(self) -> bool:
        """Whether it has fired as often as it may."""
        return self.fault.times is not None and self.fired >= self.fault.times

    def admits(self, exchange: Exchange) -> bool:
        fault = self.fault
        if not fault.addresses(exchange):
            return False
        self.addressed += 1
        if fault.nth is not None and self.addressed != fault.nth:
            return False
        if self.spent:
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

    def remove(self, fault: Fault) -> None:
        """Take this very fault away, with its count."""
        self._counts = [count for count in self._counts if count.fault is not fault]

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

    def receive(self) -> Reception:
        """Run the hook for receiving of every fault over the plain reception."""
        reception = Reception()
        for count in self._live():
            changed = count.fault.receive(self._exchange, reception)
            if changed is not None:
                reception = changed
                self._mark(count)
        return reception

    def rewrite(self, http: HttpRequest) -> HttpRequest:
        """Run the hook for the request of every fault over the request."""
        for count in self._live():
            changed = count.fault.rewrite(self._exchange, http)
            if changed is not None:
                http = changed
                self._mark(count)
        return http

    def before(self) -> Reply | None:
        """Run the hook before the operation of every fault; the first reply stands."""
        answer: Reply | None = None
        for count in self._live():
            result = count.fault.before(self._exchange)
            if isinstance(result, Reply):
                answer = answer or result
            if result is not None:
                self._mark(count)
        return answer

    def reshape(self, reply: Reply) -> Reply:
        """Run the hook for the reply of every fault over the reply."""
        for count in self._live():
            changed = count.fault.reshape(self._exchange, reply)
            if changed is not None:
                reply = changed
                self._mark(count)
        return reply

    def deliver(self, reply: Reply) -> Delivery:
        """Run the hook for delivery of every fault over the plain delivery."""
        delivery = Delivery()
        for count in self._live():
            changed = count.fault.deliver(reply, delivery)
            if changed is not None:
                delivery = changed
                self._mark(count)
        return delivery

    def _live(self) -> Iterator[_Count]:
        """Yield the faults that may act: those of one exchange may have been spent by another since it began."""
        return (count for count in self._counts if not count.spent or any(count is one for one in self._fired))

    def _mark(self, count: _Count) -> None:
        if any(count is one for one in self._fired):
            return
        self._fired.append(count)
        count.fired += 1
        if count.first_fired_s is None:
            count.first_fired_s = time.monotonic()
        self._exchange.request.faults += (count.fault.kind,)
