"""How an exchange on a connection ends: by a reply or an error, told to a future, or at once by a call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bulkhaul.wire.http1_parsing import ReplyHead


class ConnectionClosed(ConnectionError):
    """The peer closed before the reply was complete.

    Attributes:
        stale: the connection had been used before, and nothing of this reply had come: it was closed while idle.
    """

    def __init__(self, message: str, *, stale: bool = False) -> None:
        super().__init__(message)
        self.stale = stale


class Overtaken(Exception):
    """The body comes over another connection; this one has brought none of it."""


OnEnd = Callable[[ReplyHead | None, BaseException | None], None]
"""Called once when an exchange has ended: with the head of the reply, or with what has ended it."""


class Callback:
    """Stands in an exchange where a future does.

    When it calls back, the connection is closed unless it can take another request, which may be sent at once.
    """

    __slots__ = ("_close", "_on_end")

    def __init__(self, close: Callable[[], None], on_end: OnEnd) -> None:
        self._close = close
        self._on_end: OnEnd | None = on_end

    def done(self) -> bool:
        """Whether the exchange has ended."""
        return self._on_end is None

    def set_result(self, reply: ReplyHead) -> None:
        """End it with a reply."""
        self._end(reply, None, close=not reply.keep_alive)

    def set_exception(self, error: BaseException) -> None:
        """End it with an error."""
        self._end(None, error, close=True)

    def _end(self, reply: ReplyHead | None, error: BaseException | None, *, close: bool) -> None:
        on_end, self._on_end = self._on_end, None
        if close:
            self._close()
        if on_end is not None:
            on_end(reply, error)


def look_at(done: asyncio.Future[ReplyHead]) -> None:
    """Retrieve a failure that came after the exchange had ended otherwise; asyncio would report it as lost."""
    if done.done() and not done.cancelled():
        done.exception()
