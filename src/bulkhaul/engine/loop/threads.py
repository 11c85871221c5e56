"""Runs blocking work in a thread, and raises a typed error when no thread can be started."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bulkhaul.model.errors import ErrorInfo, OtherError

P = ParamSpec("P")
T = TypeVar("T")


def no_thread(error: BaseException) -> OtherError | None:
    """Return the typed error of a thread that could not be started; None for any other failure."""
    if isinstance(error, RuntimeError) and "start new thread" in str(error):  # CPython gives it no type of its own
        text = "no thread can be started; raise the limit (ulimit -u), or lower --workers or --concurrency"
        return OtherError(text, cause=str(error))
    return None


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` returns, run in a thread.

    Raises:
        OtherError: no thread can be started.
        Whatever the work raises.
    """
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except RuntimeError as error:
        raise no_thread(error) or error from error


def in_own_thread(work: Callable[[], object], name: str) -> asyncio.Future[BaseException | None]:
    """Begin ``work`` of the caller's that may wait for ever; the future's result is what it raised, None for nothing.

    Nothing waits for the thread: neither the end of the loop, as for those of ``in_thread``, nor that of the program.

    Args:
        name: of the thread.

    Raises:
        OtherError: no thread can be started.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[BaseException | None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001 - it is the caller's, whatever it is
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(tell, error)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise no_thread(error) or error from error
    return ended


def unforeseen(error: Exception, text: str) -> ErrorInfo:
    """Return the error for an exception that nothing else has caught; the lack of threads has one of its own."""
    known = no_thread(error)
    return known.info if known is not None else ErrorInfo("OtherError", text, cause=f"{type(error).__name__}: {error}")
