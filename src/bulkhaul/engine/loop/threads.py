"""Runs blocking work in a thread, and raises a typed error when no thread can be started."""

from __future__ import annotations

import asyncio
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


def unforeseen(error: Exception, text: str) -> ErrorInfo:
    """Return the error for an exception that nothing else has caught; the lack of threads has one of its own."""
    known = no_thread(error)
    return known.info if known is not None else ErrorInfo("OtherError", text, cause=f"{type(error).__name__}: {error}")
