"""Ends an engine when one of its callbacks or background tasks raises; it must not know what they are for.

What a callback of the loop raises is only logged there, and whoever waits for what it should have done waits for ever.
So the engine's own callbacks are guarded, its background tasks watched, and while it runs a handler of the loop looks
at what is left over. Whatever it was, everything of the engine then fails with a typed error.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bulkhaul.model.errors import OtherError, TransferError

_log = logging.getLogger(__name__)

_OF_LOOPS = frozenset({"asyncio", "uvloop"})

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class Guarded:
    """A callback whose exceptions end the engine that it belongs to, and never in the loop.

    Attributes:
        callback: what is called.
    """

    __slots__ = ("_raised", "callback")

    def __init__(self, callback: Callable[..., object], raised: Callable[[BaseException], None]) -> None:
        self.callback = callback
        self._raised = raised

    def __call__(self, *arguments: Any) -> None:
        """Call it; an interrupt of the whole program is passed on as well."""
        try:
            self.callback(*arguments)
        except BaseException as error:
            self._raised(error)
            if not isinstance(error, Exception):
                raise


class LastResort:
    """What is done when the unexpected happens in one engine."""

    def __init__(self, end: Callable[[TransferError], None]) -> None:
        """Take what ends everything of the engine with an error."""
        self._end = end

    def guard(self, callback: Callable[..., object]) -> Guarded:
        """Return a callback for the loop."""
        return Guarded(callback, self.raised)

    def watch(self, task: asyncio.Task[Any]) -> None:
        """See to it that the failure of a task that nobody waits for is no secret."""
        task.add_done_callback(self.guard(_pass_on))

    def raised(self, error: BaseException) -> None:
        """End the engine."""
        if isinstance(error, TransferError):
            self._end(error)
            return
        _log.error("an internal error ends the engine", exc_info=error)
        text = "an internal error of bulkhaul has ended this engine; make a new one, and please report this"
        self._end(OtherError(text, cause=f"{type(error).__name__}: {error}"))

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have what callbacks of ours raise on a loop told here too, if it comes past the guards."""
        if (listening := _listening.get(loop)) is None:
            listening = _listening[loop] = _Listening(loop.get_exception_handler())
            loop.set_exception_handler(listening.handle)
        listening.resorts.append(self)

    def finish(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hear no more of it; the last one gives the loop its own handler back. Safe to call twice."""
        listening = _listening.get(loop)
        if listening is None or self not in listening.resorts:
            return
        listening.resorts.remove(self)
        if not listening.resorts:
            del _listening[loop]
            if loop.get_exception_handler() == listening.handle:  # whoever set another one meanwhile keeps his own
                loop.set_exception_handler(listening.before)


class _Listening:
    """The engines of one loop, and the handler that it had before them."""

    def __init__(self, before: Handler | None) -> None:
        self.before = before
        self.resorts: list[LastResort] = []

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End all engines of the loop if this is of our making; the former handler hears of everything."""
        error = context.get("exception")
        # A task or a future that nobody looked at is its owner's affair, and ours are watched.
        if isinstance(error, BaseException) and not context.keys() & {"task", "future"} and is_ours(error):
            for resort in list(self.resorts):
                resort.raised(error)
        if self.before is not None:
            self.before(loop, context)
        else:
            loop.default_exception_handler(context)


_listening: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Listening] = weakref.WeakKeyDictionary()


def is_ours(error: BaseException) -> bool:
    """Whether what the loop called was a function of this package."""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0]
        if module not in _OF_LOOPS:
            return module == __name__.partition(".")[0]
        trace = trace.tb_next
    return False


def _pass_on(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.result()
