"""Runs an engine's event loop in a thread of its own: its start, its use and its end, for programs without a loop.

The loop is uvloop's. Work is handed over to it; the caller waits for its end, or gets a future.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.handover import READ_AHEAD, Driven
from bulkhaul.engine.loop.portal import Portal
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.startable import described
from bulkhaul.engine.unclosed import open_engines, warn_unclosed
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import Cancelled, UsageError
from bulkhaul.model.results import Progress
from bulkhaul.model.settings import Settings, SettingsFields

T = TypeVar("T")


class OwnThread:
    """An engine whose event loop runs in a thread of its own, from its start to its end."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        credentials: CredentialsSource | None = None,
        forkserver: ForkserverProcess | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        **fields: Unpack[SettingsFields],
    ) -> None:
        """Check the settings; see ``AsyncEngine``."""
        self._engine = AsyncEngine(
            settings, credentials=credentials, forkserver=forkserver, on_progress=on_progress, **fields
        ).on_own_thread()
        self._pid = os.getpid()
        self._portal: Portal | None = None
        self._beside: list[AsyncEngine] = []
        self._changing = threading.RLock()  # a signal handler may close it while this thread starts or closes it
        self._begun = False
        self._closing = False
        self._ended = False

    def __repr__(self) -> str:
        state = "closed" if self._ended else "not started" if self._portal is None else "running"
        return f"<{type(self).__name__} {described(self.settings, self._engine.credentials)}: {state}>"

    def start(self) -> Self:
        """Start the engine; for programs without ``with``, which end it by ``close``.

        The first operation starts an engine, too. One that was closed can be started again. Safe to call twice.

        Raises:
            OtherError: the operating system gives no thread or no descriptors.
            UsageError: the engine belongs to the process that this one was forked from, or it is called on the engine's
                own thread, as by a callback: another one that closes the engine would wait for that.
        """
        self._require_process()
        if self._on_own_thread():
            raise UsageError("an engine cannot be started on its own thread, as by a callback; start it on another one")
        with self._changing:
            self._ended = False
            self._start()
        return self

    def _start(self) -> None:
        if self._portal is not None:
            return
        try:
            portal = Portal()
        except (RuntimeError, OSError) as error:
            self._engine.abandon()
            raise no_thread(error) or (local_error(error) if isinstance(error, OSError) else error) from error
        self._portal = self._portal or portal
        if self._portal is not portal:  # a signal handler has started it meanwhile
            portal.stop()
            return
        try:
            open_engines.add(self)
            portal.run(self._start_all)
            self._begun = True
        except BaseException:
            try:
                with contextlib.suppress(Exception):  # what is raised is why it did not start
                    portal.run(self._close_all)
            finally:
                self._stop(portal)
            raise
        if self._ended:  # by a signal handler, meanwhile
            self.close()

    def _stop(self, portal: Portal) -> None:
        try:
            portal.stop()  # another thread may be iterating: its generator ends with the engine
        finally:
            self._portal, self._begun, self._closing = None, False, False
            open_engines.discard(self)

    async def _start_all(self) -> None:
        for engine in (self._engine, *self._beside):
            await engine.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cancel what is under way, stop the workers and wait until nothing is left. Safe to call twice.

        Raises:
            UsageError: it is called on the engine's own thread, as by a callback: that thread cannot wait for itself.
        """
        if os.getpid() != self._pid:
            return  # in a forked child: the engine, its threads and its workers are the parent's
        if self._on_own_thread():
            raise UsageError("an engine cannot be closed on its own thread, as by a callback; close it on another one")
        with self._changing:
            portal = self._portal
            self._ended = True
            if portal is None:
                self._engine.abandon()
                return
            if self._closing or not self._begun:
                return  # a signal handler: what it has interrupted closes it
            self._closing = True
            try:
                closing = portal.start(self._close_all)
                try:
                    closing.result()
                except BaseException:
                    if not closing.done():  # Ctrl-C while it is being closed: it is closed all the same, but at once
                        portal.soon(self._hurry)
                        closing.result()
                    raise
            finally:
                self._ended = True
                self._stop(portal)

    async def _close_all(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for engine in (*reversed(self._beside), self._engine):
                stack.push_async_callback(engine.close)

    def _hurry(self) -> None:
        for engine in (self._engine, *self._beside):
            engine.hurry()

    def __del__(self) -> None:
        if "_ended" not in vars(self) or self._ended or self._portal is None or os.getpid() != self._pid:
            return  # the settings were refused, or there is nothing to end
        try:
            self.end()
        finally:
            warn_unclosed(self)

    def end(self) -> None:
        """Close, on whichever thread the garbage collector runs; on the engine's own thread without waiting."""
        if os.getpid() != self._pid:
            return
        if self._on_own_thread():
            threading.Thread(target=self.close, name="bulkhaul-end", daemon=True).start()
        else:
            self.close()

    def _on_own_thread(self) -> bool:
        portal = self._portal
        return portal is not None and portal.here

    @property
    def aio(self) -> AsyncEngine:
        """The async engine behind this one; ``run`` awaits its methods, and ``each`` iterates over what they yield."""
        return self._engine

    def require_elsewhere(self) -> None:
        """Return if this is not the engine's own thread.

        Raises:
            UsageError: it is, as in a callback, and it cannot wait for itself.
        """
        if (portal := self._portal) is not None:
            portal.require_elsewhere()

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the engine's loop and return its result.

        An exception that interrupts the wait, as Ctrl-C does, cancels the work and is raised when that has ended.

        Raises:
            UsageError: it is called on the engine's own thread, as by a callback.
            Whatever the work raises.
        """
        return self._running().run(work, *arguments)

    def finish(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run an async function that lets go of something; on the engine's own thread without waiting for it."""
        self._running().finish(work, *arguments)

    def start_task(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> Future[T]:
        """Begin to run an async function on the engine's loop; cancelling the future cancels it."""
        future = self._running().start(work, *arguments)
        future.add_done_callback(lambda _: self)  # the engine outlives what it was asked for
        return future

    def each(self, items: AsyncGenerator[T, None], *, ahead: int = READ_AHEAD) -> Iterator[T]:
        """Iterate over an async generator of the engine's; one task runs it, so that a cancellation reaches it.

        Args:
            ahead: items that may wait for the caller's thread.
        """
        portal = self._running()
        driven_items = Driven(items, ahead)
        left = False
        try:
            take = portal.run(driven_items.__aenter__)
            try:
                while found := portal.run(take):
                    yield from found
            except GeneratorExit:
                left = True
                raise
            finally:
                portal.finish(driven_items.__aexit__, None, None, None)
        except (FutureCancelledError, RuntimeError) as error:
            if not self._ended:
                raise
            # The engine was closed by another thread, and everything of this generator ended with it.
            if not left:
                raise Cancelled("the engine was closed") from error

    def beside(
        self,
        settings: Settings | None = None,
        *,
        credentials: CredentialsSource | None = None,
        **fields: Unpack[SettingsFields],
    ) -> AsyncEngine:
        """Return an engine for another endpoint or another account, on the same event loop; it ends with this one.

        It can be the ``origin`` of ``copy`` and ``copy_many``. Asked for the same, it is the same engine: leave its end
        to this one.

        Raises:
            UsageError: this engine is closed.
        """
        other = AsyncEngine(settings, credentials=credentials, **fields).on_own_thread()
        for one in self._beside:
            if (one.settings, one.credentials) == (other.settings, other.credentials):
                return self.run(one.start)  # it may have been closed
        self.run(self._start_beside, other)
        return other

    async def _start_beside(self, other: AsyncEngine) -> None:
        self._running()  # else what is beside it is being closed
        await other.start()
        self._beside.append(other)

    def progress(self) -> Progress:
        """Return one total over everything that this engine was asked for."""
        return self._engine.progress()

    def kill_workers(self) -> None:
        """Kill every worker at once: for a caller that is about to leave without waiting."""
        if (portal := self._portal) is not None and not self._ended:
            portal.soon(self._engine.kill_workers)

    @property
    def ended(self) -> bool:
        """Whether it was closed, or is being closed: what was under way then ends without a result of its own."""
        return self._ended

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._engine.settings

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return self._engine.worker_pids

    def _require_process(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError("this engine belongs to the process that this one was forked from; make a new one here")

    def _running(self) -> Portal:
        """Return the engine's thread, which the first operation starts."""
        self._require_process()
        portal = self._portal
        if not self._ended and (portal is None or not (self._begun or portal.here)):
            with self._changing:
                if not self._ended:  # another thread may have closed it
                    self._start()
        if self._ended or (portal := self._portal) is None:
            raise UsageError("the engine is closed; start it again, or make a new one")
        return portal
