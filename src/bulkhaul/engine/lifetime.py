"""Starts an engine, runs and counts its transfers, and ends all of it: first kindly, then by force.

Everything runs on the caller's event loop, except the workers, which are processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Literal

import msgspec

from bulkhaul.engine.coordinator import Coordinator
from bulkhaul.engine.loop.tasks import outlast, undisturbed
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.transfers.batch import Batch, Group, Piece
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import Cancelled, UsageError
from bulkhaul.model.results import Progress, TransferResult
from bulkhaul.model.settings import Settings

_log = logging.getLogger("bulkhaul")

PROGRESS_S = 0.25
"""The shortest time between two calls of a progress callback."""

CANCEL_S = 1.0
"""How long cancelled work may take to end before the workers are killed."""

QUIET_S = 5.0
"""How long the service may be silent while uploads are being aborted. As long as it answers, the aborts go on."""

ABORTS_S = 30.0
"""How long all aborts of an engine that ends may take together. Journals name the uploads that are left then."""

LOOK_S = 0.1
"""The time between two looks at whether the service still answers."""


_dropped: set[asyncio.Future[None]] = set()
"""What closes engines that nobody refers to any more: the loop holds tasks weakly."""

State = Literal["not started", "running", "closed"]

OnSize = Callable[[int], None]
"""Is told how long the object of a transfer is, as soon as that is known, and again if it has changed."""


class Lifetime:
    """One engine from its start to its end, and the transfers in between.

    Attributes:
        on_own_thread: its loop runs in a thread of its own, to which other threads hand work over.
    """

    def __init__(
        self,
        settings: Settings,
        forkserver: ForkserverProcess | None,
        on_progress: Callable[[Progress], None] | None,
        credentials: CredentialsSource | None = None,
    ) -> None:
        self._settings = settings
        self._credentials = credentials
        self.state: State = "not started"
        self.on_own_thread = False
        self._forkserver = forkserver
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coordinator: Coordinator | None = None
        self._runs: list[Batch] = []
        self._single = Progress(planning_done=True)
        self._tasks: set[asyncio.Task[TransferResult]] = set()
        self._on_progress = on_progress
        self._telling: asyncio.Task[None] | None = None
        self._left_before = 0
        self._received_before = 0  # by what ran between earlier starts and ends
        self._hurried = False
        self._closing: asyncio.Task[None] | None = None
        self._deaf = False  # the progress callback has failed

    def start(self) -> None:
        """Begin on the running event loop; workers are started when there is work for them. Safe to call twice.

        Raises:
            UsageError: it is being closed, or runs on another event loop.
        """
        if self._closing is not None and not self._closing.done():
            raise UsageError("the engine is being closed; start it when that has ended")
        if self._coordinator is not None:
            self._require_loop(asyncio.get_running_loop())
            return
        self._loop = asyncio.get_running_loop()
        self._hurried = False
        self._coordinator = Coordinator(self._settings, self._forkserver, self._credentials)
        self.state = "running"
        self._forkserver = None
        _tell_settings(self._settings)
        self._coordinator.dispatcher.start(self._coordinator.requests)
        if self._on_progress is not None:
            self._telling = asyncio.create_task(self._tell(self._on_progress))

    def running(self) -> Coordinator:
        """Return the parts of the engine, which is started if it never was.

        Raises:
            UsageError: it is closed, in another process, on another event loop, or not started and no loop is running.
        """
        if os.getpid() != self._pid:
            raise UsageError("this engine belongs to the process that this one was forked from; make a new one here")
        loop = asyncio._get_running_loop()  # None where none runs
        if self._coordinator is None:
            if self.state == "closed":
                raise UsageError("the engine is closed; start it again, or make a new one")
            if loop is None:
                raise UsageError("the engine is not running; use it in a coroutine, or start it there")
            self.start()
        assert self._coordinator is not None
        assert self._loop is not None
        if self._loop.is_closed() or (loop is not None and not self.on_own_thread):
            self._require_loop(loop)
        return self._coordinator

    def _require_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Return if the engine runs on this event loop.

        Raises:
            UsageError: it runs on another one.
        """
        if self._loop is not loop:
            text = "the engine runs on another event loop, as each asyncio.run makes one"
            raise UsageError(f"{text}; keep to one, or close the engine before it starts on the next")

    # Its end

    def abandon(self) -> None:
        """End the forkserver of an engine that was never started."""
        forkserver, self._forkserver = self._forkserver, None
        if forkserver is not None:
            forkserver.close()

    async def close(self) -> None:
        """Cancel what is under way, stop the workers and wait until nothing is left. Safe to call twice.

        Of an engine whose event loop has ended, it kills the workers: nothing else of it is left.

        Raises:
            UsageError: the engine runs on another event loop.
        """
        self.abandon()
        if self._coordinator is not None and self._loop is not None and self._loop.is_closed():
            self._coordinator.dispatcher.drop()
            self._coordinator, self.state = None, "closed"
        if self._coordinator is None:
            self.state = "closed"
            return
        self._require_loop(asyncio.get_running_loop())
        self.state = "closed"
        if self._closing is None or self._closing.done():
            self._closing = asyncio.create_task(self._close(self._coordinator))
        await undisturbed(self._closing, hurry=self.hurry)

    async def _close(self, coordinator: Coordinator) -> None:
        runs = [batch for batch in self._runs if batch.under_way]
        if self._tasks or runs:
            await self._cancel(coordinator, runs)
        coordinator.requests.close()
        await coordinator.dispatcher.stop()
        self._received_before += coordinator.received_bytes
        self._left_before += coordinator.left_objects
        self._coordinator = None
        telling, self._telling = self._telling, None
        if telling is not None and self._on_progress is not None:
            telling.cancel()
            self._told(self._on_progress, self.progress())

    async def _cancel(self, coordinator: Coordinator, runs: list[Batch]) -> None:
        """Cancel what is under way: first kindly, so that uploads can be aborted, then by force."""
        for task in self._tasks:
            task.cancel()
        ending = asyncio.gather(*self._tasks, *(batch.stop() for batch in runs), return_exceptions=True)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while not ending.done() and not self._hurried:
            until_s = began_s + CANCEL_S
            if coordinator.multipart_uploads:
                until_s = min(max(began_s, coordinator.requests.answered_s) + QUIET_S, began_s + ABORTS_S)
            if loop.time() >= until_s:
                break
            await asyncio.wait([ending], timeout=min(until_s - loop.time(), LOOK_S))
        coordinator.requests.close()
        if not ending.done():
            coordinator.dispatcher.kill_for_good()  # the quickest way to be sure that nobody writes any more
        await ending

    def hurry(self) -> None:
        """Have ``close`` wait no longer, and kill the workers instead."""
        self._hurried = True

    def kill_workers(self) -> None:
        """Kill every worker at once: for a caller that is about to leave without waiting."""
        if self._coordinator is not None:
            self._coordinator.dispatcher.kill_workers()

    def drop(self) -> None:
        """End every worker of an engine that nobody will close any more, and the rest as far as its loop still runs."""
        coordinator, loop = self._coordinator, self._loop
        if coordinator is None or loop is None:
            return
        coordinator.dispatcher.drop()
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._close_dropped)

    def _close_dropped(self) -> None:
        closing = asyncio.ensure_future(self.close())
        _dropped.add(closing)
        closing.add_done_callback(_dropped.discard)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return [] if self._coordinator is None else list(self._coordinator.dispatcher.worker_pids.values())

    # Its transfers

    async def one(
        self, work: Callable[[OnSize], Coroutine[None, None, TransferResult]], subject: str, planned_bytes: int = 0
    ) -> TransferResult:
        """Carry out and count one transfer; it ends with the engine at the latest.

        Args:
            planned_bytes: the object's size, as far as it is known beforehand.

        Raises:
            Cancelled: the engine was closed meanwhile.
            TransferError: the transfer failed.
        """
        task = asyncio.create_task(self._counted(work, planned_bytes))
        self._tasks.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Cancelled("the engine was closed during the transfer", subject) from None
            task.cancel()
            await outlast(task)  # by then it has let go of everything
            raise
        finally:
            self._tasks.discard(task)

    async def _counted(
        self, work: Callable[[OnSize], Coroutine[None, None, TransferResult]], planned_bytes: int
    ) -> TransferResult:
        def plan(size_bytes: int) -> None:
            nonlocal planned_bytes
            self._note(planned_bytes=size_bytes - planned_bytes)
            planned_bytes = size_bytes

        self._note(planned_objects=1, planned_bytes=planned_bytes)
        try:
            result = await work(plan)
        except BaseException:
            self._note(failed_objects=1)
            raise
        plan(result.size)
        self._note(verified_objects=1)
        return result

    async def many(
        self,
        plan: Callable[[], AsyncGenerator[Piece | Group, None]],
        *,
        at_end: Callable[[], None] | None = None,
        many_buckets: bool = False,
        many_disks: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Carry out and count many transfers; they end with the engine at the latest. See ``Batch``.

        Raises:
            TransferError: the plan cannot be made any further, or nothing that is left can be done.
        """
        self.running()
        batch = Batch(self._settings, plan, at_end=at_end, many_buckets=many_buckets, many_disks=many_disks)
        self._runs.append(batch)
        try:
            async with contextlib.aclosing(batch.run()) as results:
                async for result in results:
                    yield result
        finally:
            self._runs.remove(batch)
            ended = batch.progress
            self._note(
                planned_objects=ended.planned_objects,
                verified_objects=ended.verified_objects,
                failed_objects=ended.failed_objects,
                skipped_objects=ended.skipped_objects,
                planned_bytes=ended.planned_bytes,
            )

    def _note(self, **counts: int) -> None:
        self._single = msgspec.structs.replace(
            self._single, **{name: getattr(self._single, name) + count for name, count in counts.items()}
        )

    # Its progress

    def progress(self) -> Progress:
        """Return one total over everything that the engine was asked for."""
        every = [self._single, *(batch.progress for batch in self._runs)]
        return Progress(
            planned_objects=sum(p.planned_objects for p in every),
            verified_objects=sum(p.verified_objects for p in every),
            failed_objects=sum(p.failed_objects for p in every),
            skipped_objects=sum(p.skipped_objects for p in every),
            left_objects=self._left_before + (self._coordinator.left_objects if self._coordinator else 0),
            planned_bytes=sum(p.planned_bytes for p in every),
            received_bytes=self._received_before + (self._coordinator.received_bytes if self._coordinator else 0),
            planning_done=all(p.planning_done for p in every),
            resolved=self._coordinator is None or self._coordinator.requests.resolved,
        )

    async def _tell(self, on_progress: Callable[[Progress], None]) -> None:
        told = None
        while True:
            await asyncio.sleep(PROGRESS_S)
            if (now := self.progress()) != told:
                self._told(on_progress, now)
                told = now

    def _told(self, on_progress: Callable[[Progress], None], now: Progress) -> None:
        """Call the progress callback; what it raises fails no transfer, and it is not called again."""
        if self._deaf:
            return
        try:
            on_progress(now)
        except BaseException:  # noqa: BLE001 - it may raise anything, and on the loop some of that would end everything
            self._deaf = True
            _log.warning("the progress callback failed, so it is not called any more", exc_info=True)


def _tell_settings(settings: Settings) -> None:
    """Log what is in force, and where each setting came from."""
    log = logging.getLogger("bulkhaul.settings")
    if log.isEnabledFor(logging.INFO):
        from bulkhaul.policy.provenance import DEFAULT  # few runs log
        from bulkhaul.wire.settled import settings_in_force

        told = settings_in_force(settings)
        for one in told:
            if one.source != DEFAULT:
                log.info("%s = %s (%s)", one.name, one.value, one.source)
        defaults = [f"{one.name} = {one.value}" for one in told if one.source == DEFAULT]
        log.info("by default: %s", ", ".join(defaults))
