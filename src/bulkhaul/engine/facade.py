"""Offers all that ``AsyncEngine`` does to programs without an event loop: ``with Engine(...)``.

The event loop runs in a thread of its own (``own_thread``): a method hands its work over, and waits.
"""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.handover import READ_AHEAD
from bulkhaul.engine.own_thread import OwnThread
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions

if TYPE_CHECKING:
    from bulkhaul.engine.files.reader import ObjectReader
    from bulkhaul.engine.files.writer import ObjectWriter

T = TypeVar("T")
P = ParamSpec("P")


def _blocking(
    method: Callable[Concatenate[AsyncEngine, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Engine, P], T]:
    """Return a method of ``Engine`` that waits for the one of ``AsyncEngine``."""

    @functools.wraps(method)
    def wait_for(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(functools.partial(method, self.aio, *args, **kwargs))

    return wait_for


def _iterating(
    method: Callable[Concatenate[AsyncEngine, P], AsyncGenerator[T, None]], *, ahead: int = READ_AHEAD
) -> Callable[Concatenate[Engine, P], Iterator[T]]:
    """Return a method of ``Engine`` that iterates over what the one of ``AsyncEngine`` yields."""

    @functools.wraps(method)
    def iterate(self: Engine, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        self._running()  # starts it, if it never was
        return self.each(method(self.aio, *args, **kwargs), ahead=ahead)

    return iterate


class Engine(OwnThread):
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

    def submit(self, url: str, path: str | os.PathLike[str]) -> Future[TransferResult]:
        """Begin to restore one object; cancelling the future stops it and leaves nothing behind."""
        return self.start_task(self._engine.download, url, path)

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

    download = _blocking(AsyncEngine.download)
    upload = _blocking(AsyncEngine.upload)
    put_bytes = _blocking(AsyncEngine.put_bytes)
    upload_bytes = _blocking(AsyncEngine.upload_bytes)
    upload_stream = _blocking(AsyncEngine.upload_stream)
    download_stream = _blocking(AsyncEngine.download_stream)
    copy = _blocking(AsyncEngine.copy)
    chunks = _iterating(AsyncEngine.chunks, ahead=1)  # each is large, and more are ahead of it
    download_many = _iterating(AsyncEngine.download_many)
    upload_many = _iterating(AsyncEngine.upload_many)
    copy_many = _iterating(AsyncEngine.copy_many)
    download_rows = _iterating(AsyncEngine.download_rows)
    upload_rows = _iterating(AsyncEngine.upload_rows)
    copy_rows = _iterating(AsyncEngine.copy_rows)
    copy_versions = _iterating(AsyncEngine.copy_versions)
    delete_rows = _iterating(AsyncEngine.delete_rows)
    head = _blocking(AsyncEngine.head)
    exists = _blocking(AsyncEngine.exists)
    get_tags = _blocking(AsyncEngine.get_tags)
    set_tags = _blocking(AsyncEngine.set_tags)
    delete_tags = _blocking(AsyncEngine.delete_tags)
    create_bucket = _blocking(AsyncEngine.create_bucket)
    delete_bucket = _blocking(AsyncEngine.delete_bucket)
    restore = _blocking(AsyncEngine.restore)
    get_bytes = _blocking(AsyncEngine.get_bytes)
    get_bytes_range = _blocking(AsyncEngine.get_bytes_range)
    get_bytes_suffix = _blocking(AsyncEngine.get_bytes_suffix)
    get_ranges = _blocking(AsyncEngine.get_ranges)
    read_through = _blocking(AsyncEngine.read_through)
    read_of = _blocking(AsyncEngine.read_of)
    presigned_url = _blocking(AsyncEngine.presigned_url)
    presigned_get_url = _blocking(AsyncEngine.presigned_get_url)
    presigned_put_url = _blocking(AsyncEngine.presigned_put_url)
    buckets = _iterating(AsyncEngine.buckets)
    list = _iterating(AsyncEngine.list)
    list_with_delimiter = _iterating(AsyncEngine.list_with_delimiter)
    list_versions = _iterating(AsyncEngine.list_versions)
    probe = _blocking(AsyncEngine.probe)
    region = _blocking(AsyncEngine.region)
    delete = _blocking(AsyncEngine.delete)
    delete_many = _iterating(AsyncEngine.delete_many)
    pending_uploads = _iterating(AsyncEngine.pending_uploads)
    abort_upload = _blocking(AsyncEngine.abort_upload)
