"""Offers all that ``AsyncEngine`` does to programs without an event loop: ``with Engine(...)``.

The event loop runs in a thread of its own: a method hands its work over, and waits or returns a future.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, overload

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.own_thread import OwnThread
from bulkhaul.engine.waiting import blocking, iterating
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions

if TYPE_CHECKING:
    from bulkhaul.engine.files.reader import ObjectReader
    from bulkhaul.engine.files.writer import ObjectWriter


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

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an engine cannot be pickled; pickle its settings, or a store, and make another engine there")

    def submit(
        self, url: str | ObjectRef, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> Future[TransferResult]:
        """Begin to restore one object; cancelling the future stops it and leaves nothing behind."""
        return self.start_task(functools.partial(self._engine.download, url, path, progress=progress))

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
