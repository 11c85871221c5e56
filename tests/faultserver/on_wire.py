"""Faults of the wire: bytes late, few, many, malformed, or followed by the wrong ending.

Job: change how a reply is delivered; the reply itself is as S3 gave it. Must not know S3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from bulkhaul.testing.faultserver.faults import Delivery, Fault
from bulkhaul.testing.faultserver.http1 import Ending, Reply


@dataclass(frozen=True, kw_only=True)
class CutHead(Fault):
    """Sends ``after_bytes`` bytes of the head, then ends: before the head (0) or within it."""

    after_bytes: int = 0
    how: Ending = "reset"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Limit the head."""
        return replace(delivery, head_limit=self.after_bytes, ending=self.how)


@dataclass(frozen=True, kw_only=True)
class Drip(Fault):
    """Sends the body at ``bytes_per_s``."""

    bytes_per_s: float

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery | None:
        """Set the speed."""
        return replace(delivery, bytes_per_s=self.bytes_per_s) if reply.length else None


@dataclass(frozen=True, kw_only=True)
class ExtraBytes(Fault):
    """Sends more after the announced body: what a desynchronised connection looks like."""

    data: bytes = b"EXTRA BYTES"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Append to the body."""
        return replace(delivery, extra=self.data)


@dataclass(frozen=True, kw_only=True)
class ChunkedTransfer(Fault):
    """Frames the body as chunked instead of by Content-Length."""

    chunk_size_bytes: int = 65536
    attempt: int | Literal["every"] = "every"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Swap the framing header, and the framing."""
        return replace(
            delivery,
            chunk_size_bytes=self.chunk_size_bytes,
            edit_head=(*delivery.edit_head, lambda head: _swap_length(head, b"Transfer-Encoding: chunked")),
        )


@dataclass(frozen=True, kw_only=True)
class Interim(Fault):
    """Sends ``count`` interim replies before the reply."""

    status: int = 103
    count: int = 1
    attempt: int | Literal["every"] = "every"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Prepend the interim heads."""
        head = b"HTTP/1.1 %d Interim\r\nLink: </a>; rel=preload\r\n\r\n" % self.status
        return replace(delivery, interim=head * self.count)


@dataclass(frozen=True, kw_only=True)
class SplitHead(Fault):
    """Sends the head in pieces of ``step_bytes``, each in its own segment."""

    step_bytes: int = 1
    attempt: int | Literal["every"] = "every"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Set the step."""
        return replace(delivery, head_step_bytes=self.step_bytes)


@dataclass(frozen=True, kw_only=True)
class ConnectionClose(Fault):
    """Closes after the whole reply: announced with Connection: close, or without a word."""

    announced: bool = True
    how: Ending = "close"
    attempt: int | Literal["every"] = "every"

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Set the ending, and the header if announced."""
        edits = delivery.edit_head
        if self.announced:
            edits = (*edits, lambda head: _add_line(head, b"Connection: close"))
        return replace(delivery, ending=self.how, edit_head=edits)


Malformation = Literal[
    "obs_fold", "two_lengths", "length_and_chunked", "bad_length", "bad_name", "bad_status_line", "garbage"
]


@dataclass(frozen=True, kw_only=True)
class MalformedHead(Fault):
    """Sends a head that a strict client refuses, then the body; then closes."""

    how: Malformation

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Edit the head."""
        edit = _MALFORMATIONS[self.how]
        return replace(delivery, edit_head=(*delivery.edit_head, edit), ending="close")


@dataclass(frozen=True, kw_only=True)
class HugeHead(Fault):
    """Adds headers of ``size_bytes`` in total."""

    size_bytes: int = 256 * 1024

    def deliver(self, reply: Reply, delivery: Delivery) -> Delivery:
        """Edit the head."""
        line = b"x-filler: " + b"f" * 1012
        lines = b"\r\n".join([line] * max(1, self.size_bytes // (len(line) + 2)))
        return replace(delivery, edit_head=(*delivery.edit_head, lambda head: _add_line(head, lines)))


def reset_before_head(*, start: int | None = None, attempt: int | Literal["every"] = 1) -> CutHead:
    """Return a fault that resets the connection instead of replying."""
    return CutHead(after_bytes=0, how="reset", start=start, attempt=attempt)


def hang_before_head(
    *,
    operation: str = "GetObject",
    key: str | None = None,
    start: int | None = None,
    part: int | None = None,
    attempt: int | Literal["every"] = 1,
) -> CutHead:
    """Return a fault that never replies and keeps the connection open; what was asked has taken effect."""
    return CutHead(after_bytes=0, how="stall", operation=operation, key=key, start=start, part=part, attempt=attempt)


def reply_lost(
    *,
    operation: str,
    key: str | None = None,
    part: int | None = None,
    attempt: int | Literal["every"] = 1,
    how: Ending = "close",
) -> CutHead:
    """Return a fault that ends the connection after the operation has taken effect, without a reply."""
    return CutHead(after_bytes=0, how=how, operation=operation, key=key, part=part, attempt=attempt)


def _add_line(head: bytes, line: bytes) -> bytes:
    return head.removesuffix(b"\r\n") + line + b"\r\n\r\n"


def _swap_length(head: bytes, line: bytes) -> bytes:
    kept = [old for old in head.split(b"\r\n") if not old.lower().startswith(b"content-length:")]
    return _add_line(b"\r\n".join(kept), line)


_MALFORMATIONS: dict[Malformation, Callable[[bytes], bytes]] = {
    "obs_fold": lambda head: _add_line(head, b"x-folded: one\r\n two"),
    "two_lengths": lambda head: _add_line(head, b"Content-Length: 1"),
    "length_and_chunked": lambda head: _add_line(head, b"Transfer-Encoding: chunked"),
    "bad_length": lambda head: _swap_length(head, b"Content-Length: +1_0"),
    "bad_name": lambda head: _add_line(head, b"x bad name: 1"),
    "bad_status_line": lambda head: head.replace(b"HTTP/1.1 ", b"HTTP/1.1  ", 1),
    "garbage": lambda head: b"\x00\xff not http at all\r\n\r\n",
}
