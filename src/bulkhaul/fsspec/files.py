"""Files that are written through fsspec: stored when they are closed, or by ``commit`` in a transaction."""

from __future__ import annotations

import errno
import functools
from typing import TYPE_CHECKING

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.files.writer import ObjectWriter
from bulkhaul.engine.transfers.copy_source import completed_options
from bulkhaul.fsspec.oserrors import OsRuns, os_errors
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.wire.values import RemoteObject

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

EXCLUSIVE_BYTES = 64 * MIB
"""Longest object that is stored on condition that there is none: it is held in memory, and sent by one PUT."""


class Writer(ObjectWriter):
    """An object that is being written; without ``autocommit`` it is closed by ``commit`` or ``discard``."""

    def __init__(self, engine: OsRuns, ref: ObjectRef, options: ObjectOptions, *, autocommit: bool = True) -> None:
        super().__init__(engine, ref, options)
        self._autocommit = autocommit
        self._sealed = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of ``data``.

        Raises:
            OSError: the object cannot be stored; nothing of it is left.
        """
        if self._sealed:
            raise ValueError("I/O operation on closed file")
        with os_errors():
            return super().write(data)

    def close(self) -> None:
        """Store the object, or leave that to ``commit``.

        Raises:
            OSError: it could not be stored; nothing of it is left.
        """
        self._sealed = True
        if self._autocommit:
            with os_errors():
                super().close()

    def commit(self) -> None:
        """Store the object, unless its ``with`` block raised.

        Raises:
            OSError: it could not be stored; nothing of it is left.
        """
        self._autocommit = True
        self.close()

    def discard(self) -> None:
        """Store nothing."""
        self.abort()


class ExclusiveWriter(Writer):
    """An object that is stored only if there is none of its name when it is closed; it waits in memory."""

    def _take(self, data: memoryview) -> None:
        if len(self._held) + len(data) > EXCLUSIVE_BYTES:
            text = f"mode 'x' writes at most {EXCLUSIVE_BYTES // MIB} MiB; write it with mode 'w'"
            raise OSError(errno.EFBIG, text, self.name)
        self._held += data

    def _store(self) -> TransferResult:
        aio = self._engine.aio
        upload = functools.partial(aio.upload_bytes, self._held, self._ref, self._options, only_if_absent=True)
        return self._engine.run(created, upload)


class Appender(Writer):
    """An object that takes the place of the one that was read, and of no other one, as far as a look can tell."""

    def __init__(
        self, engine: OsRuns, ref: ObjectRef, options: ObjectOptions, *, autocommit: bool = True, etag: str = ""
    ) -> None:
        """Take what was read by its ETag; empty where there was nothing."""
        self._etag = etag
        super().__init__(engine, ref, options, autocommit=autocommit)

    def _store(self) -> TransferResult:
        try:
            found = self._engine.run(self._engine.aio.head, self._ref).etag
        except FileNotFoundError:
            found = ""
        if found != self._etag:
            raise OSError(errno.ESTALE, "it was written by somebody else meanwhile; append to it again", self.name)
        return super()._store()


async def completed(aio: AsyncEngine, source: RemoteObject, options: ObjectOptions) -> ObjectOptions:
    """Return options with what a copy keeps of its source: headers, metadata, tags, storage class."""
    return await completed_options(aio.control, source, options, storage_class=source.head.storage_class)


async def created(upload: functools.partial[object]) -> TransferResult:
    """Await an upload of what must not be there yet.

    Raises:
        FileExistsError: it is there.
    """
    with os_errors(held=errno.EEXIST):
        result: TransferResult = await upload()  # type: ignore[misc]
        return result
