"""Defines what a file object needs of the engine that it belongs to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from bulkhaul.engine.aio import AsyncEngine

T = TypeVar("T")


class Runs(Protocol):
    """An engine whose event loop runs in another thread."""

    @property
    def aio(self) -> AsyncEngine:
        """The engine on that loop."""
        ...

    def require_elsewhere(self) -> None:
        """Return if this is not the loop's own thread, which cannot wait for what runs there."""
        ...

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function there, and wait for it."""
        ...

    def finish(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run an async function there that lets go of something, and wait for it where that is possible."""
        ...

    def start_task(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> Future[T]:
        """Begin to run an async function there."""
        ...
