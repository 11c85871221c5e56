"""Takes note of each request that a process makes, while somebody wants to know; else nothing is measured or written.

    a request ends ─▶ note ─▶ a bounded list of lines ─▶ take, many at a time
                         ╰▶ the list is full ─▶ counted only

Lines hold no secret: whatever stands in the place of one is hidden, and keys that are known are, too.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.masking import hidden_by_place

MOST_LINES = 500
"""Lines that wait at most: at ten takes a second as many as a core of Python makes requests."""

MOST_CHARACTERS = 1000
"""Longest line: a key has at most 1024 bytes, and its beginning tells which one it is."""

ATTEMPT: ContextVar[int] = ContextVar("attempt", default=1)
"""Which try of its part or request a request belongs to."""


class RequestLog:
    """The requests of one process that nobody was told of yet; threads may take note, too.

    Attributes:
        on: somebody wants to know; to be asked before anything is measured.
        hide: hides known secrets in a text.
    """

    def __init__(self) -> None:
        self.on = False
        self.hide: Callable[[str], str] = hidden_by_place
        self._lines: list[tuple[float, str]] = []
        self._dropped = 0

    def note(
        self, method: str, url: str, began_s: float, *, status: int = 0, request_id: str = "", failure: str = ""
    ) -> None:
        """Take note of a request that has ended.

        Args:
            began_s: instant of ``time.monotonic``.
            status: of the reply, 0 where there was none.
            failure: why there was none.
        """
        if len(self._lines) >= MOST_LINES:
            self._dropped += 1
            return
        took_ms = (time.monotonic() - began_s) * 1000
        ended = str(status) if status else failure
        identity = f", request id {request_id}" if request_id else ""
        text = self.hide(f"{method} {url} -> {ended} in {took_ms:.1f} ms, attempt {ATTEMPT.get()}{identity}")
        # Escaped, so that a character is a byte: the length of a message between processes is bounded so.
        line = text.encode("ascii", "backslashreplace")[:MOST_CHARACTERS].decode()
        self._lines.append((time.time(), line))

    async def watched(self, exchange: Awaitable[ReplyHead], method: str, url: str) -> ReplyHead:
        """Await an exchange, take note of it, and return its reply."""
        began_s = time.monotonic()
        try:
            reply = await exchange
        except BaseException as error:
            self.note(method, url, began_s, failure=described(error))
            raise
        self.note(method, url, began_s, status=reply.status, request_id=request_id(reply))
        return reply

    def take(self) -> tuple[list[tuple[float, str]], int]:
        """Return the (Unix time, line) of all requests since the last call, and how many more there were."""
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        return lines, dropped


def request_id(reply: ReplyHead) -> str:
    """Return by what the service knows a request, empty where it does not tell."""
    return reply.headers.get("x-amz-request-id", "")


def described(error: BaseException) -> str:
    """Say in a few words why a request had no reply."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


__all__ = ["ATTEMPT", "MOST_CHARACTERS", "MOST_LINES", "RequestLog", "described", "request_id"]
