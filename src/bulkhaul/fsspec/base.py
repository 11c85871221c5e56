"""Makes a file system of storage options, and hands what it is asked for over to the engine of the program's.

Coroutines may run on any event loop: the engine has one of its own.
"""

from __future__ import annotations

import asyncio
import errno
import functools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fsspec.asyn import AsyncFileSystem

from bulkhaul.engine.shared import shared_engine
from bulkhaul.fsspec.options import SECRETS, comparable, understood
from bulkhaul.fsspec.oserrors import OsRuns, os_errors
from bulkhaul.model.objects import ObjectRef

T = TypeVar("T")


class _TellsAccountsApart(type(AsyncFileSystem)):  # type: ignore[misc]
    def __call__(cls, *args: Any, **options: Any) -> Any:
        return super().__call__(*args, **comparable(options))


class EngineFileSystem(AsyncFileSystem, metaclass=_TellsAccountsApart):
    """What every operation of the file system stands on."""

    protocol = ("bulkhaul", "s3", "s3a")

    def __init__(
        self, *, asynchronous: bool = False, loop: Any = None, batch_size: int | None = None, **options: Any
    ) -> None:
        """Check the options; nothing is asked for yet.

        Args:
            options: fields of ``Settings``, ``credentials`` as an ``Engine`` takes it, and what s3fs calls ``key
                secret token anon endpoint_url client_kwargs requester_pays``.

        Raises:
            ValueError: an option is unknown or out of range.
        """
        self._settings, self._credentials = understood(options)
        super().__init__(asynchronous=asynchronous, loop=loop, batch_size=batch_size)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._settings.endpoint_url or 'the default endpoint'}>"

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what ``from_dict`` makes the same file system of.

        Args:
            include_password: with the keys among its options.
        """
        told: dict[str, Any] = super().to_dict(include_password=include_password)
        return told if include_password else {name: value for name, value in told.items() if name not in SECRETS}

    @property
    def _engine(self) -> OsRuns:
        with os_errors():
            return OsRuns(shared_engine(self._settings, self._credentials))

    async def _on_engine(self, work: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        call = functools.partial(work, *arguments, **named)
        return await asyncio.wrap_future(self._engine.start_task(call))

    async def _asked(self, work: Callable[..., Awaitable[T]], *arguments: Any, **named: Any) -> T:
        """Run a function whose first argument is the engine on its loop."""
        return await self._on_engine(work, self._engine.aio, *arguments, **named)

    def _ref(self, path: str) -> ObjectRef:
        bucket, _, key = str(self._strip_protocol(path)).partition("/")
        if not key:
            raise IsADirectoryError(errno.EISDIR, "this is a bucket, not an object", path)
        return ObjectRef(bucket, key)
