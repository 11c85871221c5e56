"""Faults of the wire: the bytes of a reply come late, or not all of them."""

# ruff: noqa: ARG002 - a hook is given what others of its kind need

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Literal

from bulkhaul.testing.faultserver.faults import Delivery, Fault
from bulkhaul.testing.faultserver.http1 import Ending, Reply


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """Waits before the first byte of the reply."""

    seconds: float
    attempt: int | Literal["every"] = "every"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Add to the delay."""
        return replace(delivery, delay_s=delivery.delay_s + self.seconds)


@dataclass(frozen=True, kw_only=True)
class CutBody(Fault):
    """Sends ``after_bytes`` bytes of the body, then ends.

    Negative counts from the end: -1 is all but the last byte. Equal to the length: the body is
    whole and the connection ends without notice. Not fired by a body that is shorter.
    """

    after_bytes: int
    how: Ending = "reset"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Limit the body."""
        limit = self.after_bytes if self.after_bytes >= 0 else reply.length + self.after_bytes
        if not 0 <= limit <= reply.length or not reply.length:
            return None
        return replace(delivery, body_limit=limit, ending=self.how)


@dataclass(frozen=True, kw_only=True)
class Stall(Fault):
    """Stops after ``after_bytes`` body bytes with the connection open: for ever, for a while, or until an event."""

    after_bytes: int = 0
    seconds: float | None = None
    until: threading.Event | None = None

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Limit the body with an open end, or pause in it."""
        if self.after_bytes >= reply.length:
            return None
        pause = self.seconds if self.until is None else self.until
        if pause is not None:
            return replace(delivery, pause=(self.after_bytes, pause))
        return replace(delivery, body_limit=self.after_bytes, ending="stall")
