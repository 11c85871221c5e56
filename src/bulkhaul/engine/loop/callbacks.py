"""What becomes of an exception that a caller's own callback raises; it must not know who called it.

On the event loop SystemExit and KeyboardInterrupt end everything at once, with nothing put away. So whatever a
callback raises becomes an error of its transfer, and where somebody waits on another thread he gets the original.
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
    """Return what a callback raised to end the program, where an error comes of that; else the error itself."""
    cause: BaseException | None = error
    while isinstance(cause, TransferError):
        cause = cause.__cause__
    return cause if isinstance(cause, SystemExit | KeyboardInterrupt) else error
