"""Makes methods for programs without an event loop of those of ``AsyncEngine``: they wait, or iterate."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from types import GenericAlias
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.handover import READ_AHEAD
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.settings import Settings

T = TypeVar("T")
P = ParamSpec("P")


class Waits(Protocol):
    """An engine whose event loop runs in a thread of its own."""

    @property
    def aio(self) -> AsyncEngine:
        """The engine on that loop."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it was closed."""
        ...

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function there, and wait for it."""
        ...

    def each(self, items: AsyncGenerator[T, None], *, ahead: int = READ_AHEAD) -> Iterator[T]:
        """Iterate over what an async generator yields there."""
        ...

    def beside(self, settings: Settings | None = None, *, credentials: CredentialsSource | None = None) -> AsyncEngine:
        """Return another engine on that loop."""
        ...

    def _running(self) -> object:
        """Start it, if it never was."""
        ...


def blocking(
    method: Callable[Concatenate[AsyncEngine, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Waits, P], T]:
    """Return a method that waits for the one of ``AsyncEngine``."""

    @functools.wraps(method)
    def wait_for(self: Waits, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if "origin" in kwargs:
            kwargs["origin"] = _beside(self, kwargs["origin"])
        return self.run(functools.partial(method, self.aio, *args, **kwargs))

    return wait_for


def iterating(
    method: Callable[Concatenate[AsyncEngine, P], AsyncGenerator[T, None]], *, ahead: int = READ_AHEAD
) -> Callable[Concatenate[Waits, P], Iterator[T]]:
    """Return a method that iterates over what the one of ``AsyncEngine`` yields."""

    @functools.wraps(method)
    def iterate(self: Waits, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        self._running()
        if "origin" in kwargs:
            kwargs["origin"] = _beside(self, kwargs["origin"])
        return self.each(method(self.aio, *args, **kwargs), ahead=ahead)

    # What help, the reference and get_type_hints tell: callers iterate with ``for``, not ``async for``.
    item = str(method.__annotations__["return"]).removeprefix("AsyncGenerator[").removesuffix(", None]")
    iterate.__annotations__ = method.__annotations__ | {"return": GenericAlias(Iterator, (item,))}
    signature = inspect.signature(method).replace(return_annotation=f"Iterator[{item}]")
    iterate.__signature__ = signature  # type: ignore[attr-defined]
    return iterate


def _beside(engine: Waits, origin: object) -> object:
    """Return what a source is read with on the engine's own loop: of another engine, one of the same settings.

    Raises:
        UsageError: the other engine is closed.
    """
    aio = getattr(origin, "aio", None)
    if not isinstance(aio, AsyncEngine):
        return origin
    if getattr(origin, "ended", False):
        raise UsageError("the engine that is given as origin= is closed")
    return None if aio is engine.aio else engine.beside(aio.settings, credentials=aio.credentials)
