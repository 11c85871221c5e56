"""Opens objects of memory and of folders as files: a writer stores its object when it is closed, or nothing at all."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal, Protocol

from bulkhaul.disk.chunks import fill
from bulkhaul.disk.folder import FolderHandle
from bulkhaul.disk.headers import keep_content
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.files.stored_when_closed import StoredWhenClosed
from bulkhaul.model.objects import Content
from bulkhaul.model.results import TransferResult

Mode = Literal["rb", "wb"]


class NamedReader(io.BufferedReader):
    """An object that is being read.

    Attributes:
        name: its URL or path.
    """

    def __init__(self, raw: io.RawIOBase, name: str) -> None:
        super().__init__(raw)
        self._name = name

    @property
    def name(self) -> str:
        """The object's URL or path."""
        return self._name


class Sink(Protocol):
    """Where a writer's bytes wait until it is closed."""

    def write(self, data: memoryview) -> None:
        """Take all of it."""
        ...

    def store(self) -> TransferResult:
        """Make the object of what was written."""
        ...

    def discard(self) -> None:
        """Let go of everything; also after ``store``, and twice."""
        ...


class StoringWriter(StoredWhenClosed):
    """An object that is being written; it is there when this is closed, and not at all if the ``with`` block raises."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        super().__init__(name)

    def _take(self, data: memoryview) -> None:
        self._sink.write(data)

    def _store(self) -> TransferResult:
        return self._sink.store()

    def _discard(self) -> None:
        self._sink.discard()


class HeldBody:
    """Bytes that wait in memory."""

    def __init__(self, put: Callable[[bytes], TransferResult]) -> None:
        self._put = put
        self._body = bytearray()

    def write(self, data: memoryview) -> None:
        """Append it."""
        self._body += data

    def store(self) -> TransferResult:
        """Store what was written."""
        return self._put(bytes(self._body))

    def discard(self) -> None:
        """Forget it."""
        self._body = bytearray()


class BegunFile:
    """Bytes that wait in a temp file beside their destination."""

    def __init__(
        self,
        begun: tuple[FolderHandle, Landing],
        stack: ExitStack,
        content: Content,
        allow: Callable[[int], None],
        publish: Callable[[FolderHandle, Landing], TransferResult],
    ) -> None:
        """Take a file that was begun.

        Args:
            stack: what to close when it is stored or given up.
            content: headers to keep with it.
            allow: raises if an object may not be so large.
            publish: gives it its name.
        """
        self._folder, self._landing = begun
        self._stack = stack
        self._content = content
        self._allow = allow
        self._publish = publish
        self._size_bytes = 0

    def write(self, data: memoryview) -> None:
        """Append it."""
        self._allow(self._size_bytes + len(data))
        try:
            while data:
                count = os.pwrite(self._landing.fd, data, self._size_bytes)
                data, self._size_bytes = data[count:], self._size_bytes + count
        except OSError as error:
            raise local_error(error, self._landing.path) from error

    def store(self) -> TransferResult:
        """Publish it, flushed."""
        fill(self._landing, ())  # its time, finer than the clock of the file system
        self._landing.grew_to(self._size_bytes)
        keep_content(self._landing.fd, self._content, self._landing.path)
        return self._publish(self._folder, self._landing)

    def discard(self) -> None:
        """Remove the temp file, if it was not published."""
        self._stack.close()
