"""Raises bulkhaul's errors as those of the operating system, which is what users of fsspec catch."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.model.errors import (
    AccessDenied,
    Cancelled,
    Conflict,
    CredentialsError,
    DiskFull,
    LocalError,
    NotFound,
    PreconditionFailed,
    RangeNotSatisfiable,
    StallTimeout,
    TransferError,
    UnsafeKey,
    Unsupported,
    UsageError,
)

T = TypeVar("T")

_NUMBERS: dict[type[TransferError], int] = {
    NotFound: errno.ENOENT,
    AccessDenied: errno.EACCES,
    CredentialsError: errno.EACCES,
    PreconditionFailed: errno.ESTALE,
    Conflict: errno.EBUSY,
    RangeNotSatisfiable: errno.EINVAL,
    StallTimeout: errno.ETIMEDOUT,
    DiskFull: errno.ENOSPC,
    UnsafeKey: errno.EINVAL,
    Unsupported: errno.EOPNOTSUPP,
    Cancelled: errno.ECANCELED,
}
"""The number of each kind; of what is not named here it is that of the class above it, or ``EIO``."""

_LOCAL = {name: number for number, name in errno.errorcode.items()}
"""The number that a failure of the local file system names as its cause."""


def os_error(error: TransferError, *, held: int = 0) -> OSError | ValueError:
    """Return the error that a file system would raise: Python chooses the class by the number.

    Args:
        held: the number where the service says that something is there already; 0 for none of its own.
    """
    if isinstance(error, UsageError):
        return ValueError(str(error))
    if held and isinstance(error, PreconditionFailed | Conflict):
        number = held
    elif isinstance(error, LocalError) and error.cause in _LOCAL:
        number = _LOCAL[error.cause]
    else:
        number = next((_NUMBERS[kind] for kind in type(error).__mro__ if kind in _NUMBERS), errno.EIO)
    text = error.message + (f" (cause: {error.cause})" if error.cause else "")
    return OSError(number, text, error.subject) if error.subject else OSError(number, text)


@contextlib.contextmanager
def os_errors(*, held: int = 0) -> Iterator[None]:
    """Raise bulkhaul's errors as ``os_error`` does; the original is the cause."""
    try:
        yield
    except TransferError as error:
        raise os_error(error, held=held) from error


class OsRuns:
    """An engine whose operations fail as those of the operating system do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def aio(self) -> AsyncEngine:
        """The engine on its own event loop."""
        return self._engine.aio

    def require_elsewhere(self) -> None:
        """Return if this is not the engine's own thread, which cannot wait for itself."""
        with os_errors():
            self._engine.require_elsewhere()

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the engine's loop, and wait for it."""
        result: T = self._engine.run(_translated, work, arguments)
        return result

    def finish(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run an async function on the engine's loop that lets go of something."""
        self._engine.finish(_translated, work, arguments)

    def start_task(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> Future[T]:
        """Begin to run an async function on the engine's loop."""
        return self._engine.start_task(_translated, work, arguments)


async def _translated(work: Callable[..., Awaitable[T]], arguments: Sequence[Any]) -> T:
    with os_errors():
        return await work(*arguments)
