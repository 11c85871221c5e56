"""Ends an engine when one of its callbacks or background tasks raises, so that no transfer waits for ever.

The loop only logs what a callback raises, and nobody learns that its work was not done. So the engine guards its own
callbacks, watches its background tasks, and has the loop's exception handler look at what escapes both. Any such
exception fails everything of the engine with a typed error.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bulkhaul.model.errors import OtherError, TransferError

_log = logging.getLogger("bulkhaul")

_OF_LOOPS = frozenset({"asyncio", "uvloop"})

Handler = Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object]


class Guarded:
    """A callback whose exceptions end the engine that it belongs to, instead of being logged by the loop.

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
    """Ends one engine when one of its callbacks or background tasks has raised."""

    def __init__(self, end: Callable[[TransferError], None]) -> None:
        """Take the function that ends everything of the engine with an error."""
        self._end = end

    def guard(self, callback: Callable[..., object]) -> Guarded:
        """Return a callback for the loop."""
        return Guarded(callback, self.raised)

    def watch(self, task: asyncio.Task[Any]) -> None:
        """End the engine when a task that nobody waits for fails."""
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
        """Listen to the loop's exception handler for callbacks of ours that are not guarded."""
        if (listening := _listening.get(loop)) is None:
            listening = _listening[loop] = _Listening(loop.get_exception_handler())
            loop.set_exception_handler(listening.handle)
        listening.resorts.append(self)

    def finish(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen no more; the last engine gives the loop its former handler back. Safe to call twice."""
        listening = _listening.get(loop)
        if listening is None or self not in listening.resorts:
            return
        listening.resorts.remove(self)
        if not listening.resorts:
            del _listening[loop]
            if loop.get_exception_handler() == listening.handle:  # one that was set meanwhile stays
                loop.set_exception_handler(listening.before)


class _Listening:
    """The engines of one loop, and the handler that it had before them."""

    def __init__(self, before: Handler | None) -> None:
        self.before = before
        self.resorts: list[LastResort] = []

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End all engines of the loop if our code raised; pass everything on to the former handler."""
        error = context.get("exception")
        # A failed task that nobody looked at may be the caller's; ours are watched.
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
