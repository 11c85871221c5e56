"""Offers all that ``AsyncEngine`` does to programs without an event loop: ``with Engine(...)``.

The event loop (uvloop) runs in a thread of its own: a method hands its work over, and waits or returns a future.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import CancelledError as FutureCancelledError
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.handover import READ_AHEAD, Driven
from bulkhaul.engine.loop.portal import Portal
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from bulkhaul.engine.startable import described
from bulkhaul.engine.unclosed import open_engines, warn_unclosed
from bulkhaul.engine.waiting import blocking, iterating
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import Cancelled, UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import Progress, ProgressCallback, TransferResult
from bulkhaul.model.settings import Settings, SettingsFields
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions

if TYPE_CHECKING:
    from bulkhaul.engine.files.reader import ObjectReader
    from bulkhaul.engine.files.writer import ObjectWriter

T = TypeVar("T")


class Engine:
    """Moves objects between S3 and disk, and between services, with worker processes.

    Usage::

        with Engine(endpoint_url="http://127.0.0.1:9000") as engine:
            result = engine.download("s3://bucket/key", "/data/key")
            for result in engine.download_many("s3://bucket/prefix/", "/data/prefix"):
                print(result.key, result.integrity, result.error)

    Without ``with``, as in a notebook, the first operation or ``start()`` starts it, and ``close()`` ends it. An engine
    that is forgotten ends with its last reference or with the program, and warns (``ResourceWarning``).

    Settings are the fields of ``Settings``, by name or as one value. Threads may share an engine.
    """

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
        )
        self._pid = os.getpid()
        self._portal: Portal | None = None
        self._beside: list[AsyncEngine] = []
        self._changing = threading.RLock()  # a signal handler may close it while this thread starts or closes it
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
            UsageError: the engine belongs to the process that this one was forked from.
        """
        self._require_process()
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
        try:
            portal.run(self._start_all)
        except BaseException:
            portal.stop()
            raise
        self._portal = portal
        open_engines.add(self)
        if self._ended:  # by a signal handler, meanwhile
            self.close()

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
            if self._closing:
                return  # a signal handler: what it has interrupted closes it
            if portal is None:
                self._engine.abandon()
                return
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
                portal.stop()  # another thread may be iterating: its generator ends with the engine
                self._portal, self._closing, self._ended = None, False, True
                open_engines.discard(self)

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
        """Close, from any thread, as the garbage collector calls it; on the engine's own thread without waiting."""
        if os.getpid() != self._pid:
            return
        if self._on_own_thread():
            threading.Thread(target=self.close, name="bulkhaul-end", daemon=True).start()
        else:
            self.close()

    def _on_own_thread(self) -> bool:
        return self._portal is not None and self._portal.here

    @property
    def aio(self) -> AsyncEngine:
        """The async engine behind this one; ``run`` awaits its methods, and ``each`` iterates over what they yield."""
        return self._engine

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

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an engine cannot be pickled; pickle its settings, or a store, and make another engine there")

    def submit(
        self, url: str | ObjectRef, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> Future[TransferResult]:
        """Begin to restore one object; cancelling the future stops it and leaves nothing behind."""
        return self.start_task(functools.partial(self._engine.download, url, path, progress=progress))

    def beside(
        self,
        settings: Settings | None = None,
        *,
        credentials: CredentialsSource | None = None,
        **fields: Unpack[SettingsFields],
    ) -> AsyncEngine:
        """Return an engine for another endpoint or another account, on the same event loop; it ends with this one.

        It can be the ``origin`` of ``copy`` and ``copy_many``. Asked for the same, it is the same engine.

        Raises:
            UsageError: this engine is closed.
        """
        other = AsyncEngine(settings, credentials=credentials, **fields)
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
        if self._portal is not None and not self._ended:
            self._portal.soon(self._engine.kill_workers)

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

    @overload
    def open(self, url: str | ObjectRef, mode: Literal["rb"] = "rb", *, version_id: str = "") -> ObjectReader: ...

    @overload
    def open(
        self, url: str | ObjectRef, mode: Literal["wb"], *, options: ObjectOptions = DEFAULT_OPTIONS
    ) -> ObjectWriter: ...

    def open(
        self,
        url: str | ObjectRef,
        mode: Literal["rb", "wb"] = "rb",
        *,
        options: ObjectOptions = DEFAULT_OPTIONS,
        version_id: str = "",
    ) -> ObjectReader | ObjectWriter:
        """Open one object as a file object, for reading (``rb``) or writing (``wb``).

        A writer stores the object when it is closed, and nothing if its ``with`` block raises. For text, write it
        encoded, or detach an ``io.TextIOWrapper`` before that block ends: closing one stores, whatever was raised.

        Args:
            options: how an object is stored that is written.
            version_id: which version is read; empty for the current one.

        Raises:
            NotFound: there is no such object to read.
            UsageError: another mode, or what does not go with it.
        """
        from bulkhaul.engine.files.opening import opened_object

        return opened_object(self, url, mode, options, version_id)

    download = blocking(AsyncEngine.download)
    upload = blocking(AsyncEngine.upload)
    put_bytes = blocking(AsyncEngine.put_bytes)
    upload_bytes = blocking(AsyncEngine.upload_bytes)
    upload_stream = blocking(AsyncEngine.upload_stream)
    download_stream = blocking(AsyncEngine.download_stream)
    copy = blocking(AsyncEngine.copy)
    chunks = iterating(AsyncEngine.chunks, ahead=1)  # each is large, and more are ahead of it
    download_many = iterating(AsyncEngine.download_many)
    upload_many = iterating(AsyncEngine.upload_many)
    copy_many = iterating(AsyncEngine.copy_many)
    download_rows = iterating(AsyncEngine.download_rows)
    upload_rows = iterating(AsyncEngine.upload_rows)
    copy_rows = iterating(AsyncEngine.copy_rows)
    copy_versions = iterating(AsyncEngine.copy_versions)
    delete_rows = iterating(AsyncEngine.delete_rows)
    head = blocking(AsyncEngine.head)
    exists = blocking(AsyncEngine.exists)
    get_tags = blocking(AsyncEngine.get_tags)
    set_tags = blocking(AsyncEngine.set_tags)
    delete_tags = blocking(AsyncEngine.delete_tags)
    create_bucket = blocking(AsyncEngine.create_bucket)
    delete_bucket = blocking(AsyncEngine.delete_bucket)
    restore = blocking(AsyncEngine.restore)
    get_bytes = blocking(AsyncEngine.get_bytes)
    get_bytes_range = blocking(AsyncEngine.get_bytes_range)
    get_bytes_suffix = blocking(AsyncEngine.get_bytes_suffix)
    get_ranges = blocking(AsyncEngine.get_ranges)
    read_through = blocking(AsyncEngine.read_through)
    read_of = blocking(AsyncEngine.read_of)
    presigned_url = blocking(AsyncEngine.presigned_url)
    presigned_get_url = blocking(AsyncEngine.presigned_get_url)
    presigned_put_url = blocking(AsyncEngine.presigned_put_url)
    buckets = iterating(AsyncEngine.buckets)
    list = iterating(AsyncEngine.list)
    list_with_delimiter = iterating(AsyncEngine.list_with_delimiter)
    list_versions = iterating(AsyncEngine.list_versions)
    probe = blocking(AsyncEngine.probe)
    region = blocking(AsyncEngine.region)
    delete = blocking(AsyncEngine.delete)
    delete_many = iterating(AsyncEngine.delete_many)
    pending_uploads = iterating(AsyncEngine.pending_uploads)
    abort_upload = blocking(AsyncEngine.abort_upload)

    def _require_process(self) -> None:
        if os.getpid() != self._pid:
            raise UsageError("this engine belongs to the process that this one was forked from; make a new one here")

    def _running(self) -> Portal:
        """Return the engine's thread, which the first operation starts."""
        self._require_process()
        if self._portal is None and not self._ended:
            with self._changing:
                if not self._ended:  # another thread may have closed it
                    self._start()
        if self._ended or (portal := self._portal) is None:
            raise UsageError("the engine is closed; start it again, or make a new one")
        return portal
