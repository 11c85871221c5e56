"""Runs async functions on an event loop (uvloop) in a thread of its own, for callers that have no loop.

    caller's thread ── start(work) ──▶ task on the loop ── result, error ──▶ future
                    ◀─ cancelling the future cancels the task; ``run`` waits until it has ended

The thread is a daemon: a program, or a child that was forked, ends without waiting for it. Nothing that runs on the
loop can end it, not even SystemExit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, cast

from bulkhaul.engine.loop.callbacks import original
from bulkhaul.engine.loop.event_loop import new_event_loop
from bulkhaul.model.errors import UsageError

T = TypeVar("T")

_Task = asyncio.Task[tuple[T | None, BaseException | None]]

_log = logging.getLogger("bulkhaul")


class _Pending(Future[T], Generic[T]):
    """A future that also tells when its task has ended; a cancelled future is done before that."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()


class Portal:
    """The loop, from its start to ``stop``.

    Attributes:
        thread: where it runs.
    """

    def __init__(self) -> None:
        """Start the loop.

        Raises:
            OSError: the operating system gives no thread or no descriptors.
        """
        self._pending: set[_Pending[Any]] = set()
        self._stopped = False
        started: Future[asyncio.AbstractEventLoop] = Future()
        self.thread = threading.Thread(target=self._serve, args=(started,), name="bulkhaul-loop", daemon=True)
        self.thread.start()
        self._loop = started.result()

    @property
    def here(self) -> bool:
        """Whether this is the loop's own thread, where waiting for it would block it."""
        return threading.get_ident() == self.thread.ident

    def require_elsewhere(self) -> None:
        """Return if this is not the loop's own thread.

        Raises:
            UsageError: it is, and it cannot wait for itself.
        """
        if self.here:
            text = "this is the engine's own thread, as of a callback, and it cannot wait for itself"
            raise UsageError(f"{text}; call the engine on another thread")

    def start(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> Future[T]:
        """Begin to run an async function on the loop and return its future; cancelling that cancels the work.

        Raises:
            RuntimeError: the loop has ended.
        """
        pending: _Pending[T] = _Pending()
        self._pending.add(pending)
        try:
            self._loop.call_soon_threadsafe(self._begin, pending, work, arguments)
        except RuntimeError:
            self._pending.discard(pending)
            raise
        return pending

    def run(self, work: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the loop and wait for its result.

        What interrupts the wait, as Ctrl-C does, cancels the work, and is raised when the work has ended.

        Raises:
            UsageError: this is the loop's own thread, which cannot wait for itself.
            Whatever the work raises.
        """
        self.require_elsewhere()
        pending = cast("_Pending[T]", self.start(work, *arguments))
        try:
            return pending.result()
        except BaseException:
            if pending.cancel():
                pending.ended.wait()
            raise

    def finish(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run an async function that lets go of something, and wait for it, except on the loop's own thread.

        The garbage collector may run there, and finalizers with it.
        """
        if self.here:
            self.start(work, *arguments)
        else:
            self.run(work, *arguments)

    def soon(self, function: Callable[[], object]) -> None:
        """Have the loop call a function; nobody waits for it."""
        self._loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        """Cancel what is still under way and end the thread. Safe to call twice."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop)
        self.thread.join()

    # On the loop

    def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                while not self._stopped:
                    try:
                        runner.run(self._wait(started))
                    except (SystemExit, KeyboardInterrupt):
                        # A callback of the loop raised it; the exceptions of tasks go to their futures.
                        _log.warning("something tried to end the engine's thread; it goes on", exc_info=True)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)
        finally:
            for pending in list(self._pending):
                self._end(pending)

    async def _wait(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._stopping = asyncio.Event()
        if not started.done():
            started.set_result(asyncio.get_running_loop())
        await self._stopping.wait()

    def _stop(self) -> None:
        self._stopped = True
        self._stopping.set()

    def _begin(self, pending: _Pending[T], work: Callable[..., Awaitable[T]], arguments: tuple[Any, ...]) -> None:
        if pending.cancelled():
            self._end(pending)
            return
        task = self._loop.create_task(_outcome(work, arguments))
        task.add_done_callback(lambda _: self._end(pending, task))

        def cancel(_: Future[T]) -> None:
            if pending.cancelled() and not pending.ended.is_set():
                with contextlib.suppress(RuntimeError):  # the loop has ended, and everything with it
                    self._loop.call_soon_threadsafe(task.cancel)

        pending.add_done_callback(cancel)

    def _end(self, pending: _Pending[T], task: _Task[T] | None = None) -> None:
        self._pending.discard(pending)
        if task is None or task.cancelled():
            pending.cancel()
        if pending.set_running_or_notify_cancel():
            assert task is not None
            result, error = task.result()
            if error is not None:
                pending.set_exception(original(error))
            else:
                pending.set_result(cast("T", result))
        pending.ended.set()


async def _outcome(
    work: Callable[..., Awaitable[T]], arguments: tuple[Any, ...]
) -> tuple[T | None, BaseException | None]:
    """Do the work and return its result or its error: SystemExit, if raised, would end the loop."""
    try:
        return await work(*arguments), None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - it is the caller's, whatever it is
        return None, error


__all__ = ["Portal"]
