"""Turns an exception that a caller's callback raises into an error of its transfer, and back into the original.

On the event loop SystemExit and KeyboardInterrupt would end everything at once, with nothing cleaned up. So whatever
a callback raises becomes an error of its transfer; a caller that waits on another thread gets the original.
"""

from __future__ import annotations

from bulkhaul.model.errors import OtherError, TransferError


def callback_failed(error: BaseException) -> TransferError:
    """Return the error of the transfer whose callback raised this."""
    if isinstance(error, TransferError):
        return error
    text = str(error)
    failed = OtherError("the progress callback failed", cause=f"{type(error).__name__}: {text}".removesuffix(": "))
    failed.__cause__ = error
    return failed


def original(error: BaseException) -> BaseException:
    """Return the SystemExit or KeyboardInterrupt of a callback that an error was made of; else the error itself."""
    cause: BaseException | None = error
    while isinstance(cause, TransferError):
        cause = cause.__cause__
    return cause if isinstance(cause, SystemExit | KeyboardInterrupt) else error
