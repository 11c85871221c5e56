"""The engine for asyncio programs: ``async with AsyncEngine(...)``; it must not know the command line.

Everything runs on the caller's event loop but the workers, which are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from bulkhaul.disk.folder import open_folder
from bulkhaul.engine.cancellation import outlast
from bulkhaul.engine.coordinator import Coordinator, Destination
from bulkhaul.engine.restore import Planned, Restore
from bulkhaul.engine.supervisor import ForkserverProcess
from bulkhaul.model.errors import Cancelled, LocalError, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import Progress, TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.policy.naming import base_name
from bulkhaul.policy.selection import parse_source, selector

PROGRESS_S = 0.25
"""How often a progress callback is called at most."""


class AsyncEngine:
    """Restores objects with worker processes.

    Usage::

        async with AsyncEngine(endpoint_url="http://127.0.0.1:9000") as engine:
            result = await engine.download("s3://bucket/key", "/data/key")

    It works inside any program: workers are started by exec, so no ``if __name__ == "__main__"`` is needed and no
    thread or lock of the program is copied. An engine must not be used in a process forked from its own.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        forkserver: ForkserverProcess | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        **fields: Any,
    ) -> None:
        """Check the settings; processes start when the engine is entered.

        Args:
            settings: every setting; or give them by name as keyword arguments.
            forkserver: one that was started earlier, while the caller was still importing.
            on_progress: called with the total when it has changed, at most four times a second, and at the end.
            fields: fields of ``Settings``.

        Raises:
            UsageError: a setting is unknown or out of range.
        """
        try:
            base = settings or Settings()
            self.settings: Settings = msgspec.structs.replace(base, **fields) if fields else base
        except TypeError as error:
            raise UsageError(f"no such setting: {error}") from error
        self._forkserver = forkserver
        self._pid = os.getpid()
        self._coordinator: Coordinator | None = None
        self._restores: list[Restore] = []
        self._single = Progress(planning_done=True)
        self._running: set[asyncio.Task[TransferResult]] = set()
        self._on_progress = on_progress
        self._telling: asyncio.Task[None] | None = None
        self._last_received = 0

    async def __aenter__(self) -> Self:
        self._coordinator = Coordinator(self.settings, self._forkserver or ForkserverProcess())
        self._forkserver = None
        self._coordinator.dispatcher.start()
        if self._on_progress is not None:
            self._telling = asyncio.create_task(self._tell(self._on_progress))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def abandon(self) -> None:
        """End the forkserver of an engine that was never entered."""
        forkserver, self._forkserver = self._forkserver, None
        if forkserver is not None:
            forkserver.close()

    async def close(self) -> None:
        """Cancel what is under way, stop the workers and wait until nothing is left. Safe to call twice."""
        self.abandon()
        coordinator = self._coordinator
        if coordinator is None:
            return
        coordinator.desk.close()
        restores = [restore for restore in self._restores if restore.under_way]
        if self._running or restores:
            coordinator.dispatcher.machine.retire()  # workers that are killed now need no successors
            coordinator.dispatcher.kill_workers()  # the quickest way to be sure that nobody writes any more
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, *(restore.stop() for restore in restores), return_exceptions=True)
        await coordinator.dispatcher.stop()
        self._last_received = coordinator.dispatcher.machine.received_bytes
        self._coordinator = None
        telling, self._telling = self._telling, None
        if telling is not None and self._on_progress is not None:
            if telling.done():
                telling.result()  # raises what the callback raised
            telling.cancel()
            self._on_progress(self.progress())

    async def download(self, url: str, path: str | os.PathLike[str]) -> TransferResult:
        """Restore one object to ``path``; a folder takes the key's last segment.

        Raises:
            TransferError: it could not be done; the destination is untouched and nothing is left behind.
        """
        source = parse_source(url, literal=True)
        ref = ObjectRef(source.bucket, source.key)
        task = asyncio.create_task(self._download(self._entered(), ref, os.fspath(path)))
        self._running.add(task)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise Cancelled("the engine was closed during the transfer", ref.url) from None
            task.cancel()
            await outlast(task)
            raise
        finally:
            self._running.discard(task)

    async def _download(self, coordinator: Coordinator, ref: ObjectRef, path: str) -> TransferResult:
        planned_bytes = 0

        def plan(size_bytes: int) -> None:
            nonlocal planned_bytes
            self._note(planned_bytes=size_bytes - planned_bytes)
            planned_bytes = size_bytes

        self._note(planned_objects=1)
        try:
            with contextlib.closing(_Placed(ref, path)) as placed:
                result = await coordinator.download(ref, placed.destination, on_size=plan)
        except BaseException:
            self._note(failed_objects=1)
            raise
        self._note(verified_objects=1)
        return result

    async def download_many(
        self,
        source: str,
        destination: str | os.PathLike[str],
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> AsyncGenerator[TransferResult, None]:
        """Restore everything below a prefix, or that matches a pattern, into a folder (made if missing).

        Yields:
            One result an object, as it ends. A failed one carries its error; the others go on.

        Raises:
            NotFound: nothing matches.
            TransferError: the listing or the folder failed.
        """
        restore = self._restore(source, destination, recursive=recursive, include=include, exclude=exclude)
        self._restores.append(restore)
        try:
            async with contextlib.aclosing(restore.run()) as results:
                async for result in results:
                    yield result
        finally:
            self._restores.remove(restore)
            ended = restore.progress
            self._note(
                planned_objects=ended.planned_objects,
                verified_objects=ended.verified_objects,
                failed_objects=ended.failed_objects,
                skipped_objects=ended.skipped_objects,
                planned_bytes=ended.planned_bytes,
            )

    async def plan_many(
        self,
        source: str,
        destination: str | os.PathLike[str],
        *,
        recursive: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> AsyncGenerator[Planned, None]:
        """Yield what ``download_many`` would do (for one object: what it would be called in a folder); touch nothing.

        Raises:
            NotFound: nothing matches.
        """
        parsed = parse_source(source, recursive=recursive)
        if not parsed.many:
            info = await self._entered().head(ObjectRef(parsed.bucket, parsed.key))
            name = base_name(parsed.key)
            yield Planned(info, name.components, name.refused)
            return
        restore = self._restore(source, destination, recursive=recursive, include=include, exclude=exclude)
        async with contextlib.aclosing(restore.planned()) as found:
            async for planned, _ in found:
                yield planned

    def progress(self) -> Progress:
        """Return one total over everything that this engine was asked for."""
        every = [self._single, *(restore.progress for restore in self._restores)]
        received = self._coordinator.dispatcher.machine.received_bytes if self._coordinator else self._last_received
        return Progress(
            planned_objects=sum(p.planned_objects for p in every),
            verified_objects=sum(p.verified_objects for p in every),
            failed_objects=sum(p.failed_objects for p in every),
            skipped_objects=sum(p.skipped_objects for p in every),
            planned_bytes=sum(p.planned_bytes for p in every),
            received_bytes=received,
            planning_done=all(p.planning_done for p in every),
        )

    def kill_workers(self) -> None:
        """Kill every worker at once: for a caller that is about to leave without waiting."""
        if self._coordinator is not None:
            self._coordinator.dispatcher.kill_workers()

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return [] if self._coordinator is None else list(self._coordinator.dispatcher.worker_pids.values())

    def _entered(self) -> Coordinator:
        if os.getpid() != self._pid:
            raise UsageError("this engine belongs to the process that this one was forked from; make a new one here")
        if self._coordinator is None:
            raise UsageError("the engine is not running; use it in a `with` block")
        return self._coordinator

    def _restore(
        self,
        source: str,
        destination: str | os.PathLike[str],
        *,
        recursive: bool,
        include: Sequence[str],
        exclude: Sequence[str],
    ) -> Restore:
        parsed = parse_source(source, recursive=recursive)
        if not parsed.many:
            raise UsageError("this names one object; use download, or recursive=True for a prefix", source)
        takes = selector(parsed, include, exclude)
        return Restore(self._entered(), parsed, takes, os.fspath(destination))

    async def _tell(self, on_progress: Callable[[Progress], None]) -> None:
        told = None
        while True:
            await asyncio.sleep(PROGRESS_S)
            if (now := self.progress()) != told:
                on_progress(now)
                told = now

    def _note(self, **counts: int) -> None:
        self._single = msgspec.structs.replace(
            self._single, **{name: getattr(self._single, name) + count for name, count in counts.items()}
        )


class _Placed:
    """The destination of one object, resolved from what the caller gave; holds its folder open."""

    def __init__(self, ref: ObjectRef, path: str) -> None:
        if path.endswith("/") or os.path.isdir(path):
            name = base_name(ref.key)
            if not name.components:
                raise LocalError(f"the key gives no file name: {name.refused}; name the destination file", ref.url)
            folder_path, file_name = path, name.components[0]
        else:
            folder_path, file_name = os.path.split(path)
        if not file_name or file_name in (".", ".."):
            raise UsageError("the destination names no file", path)
        self._folder = open_folder(folder_path)
        self.destination = Destination(self._folder, file_name, os.path.join(folder_path, file_name))

    def close(self) -> None:
        self._folder.release()
