"""Copies an object from one store to another through memory, block by block."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import msgspec

from bulkhaul.model.errors import PreconditionFailed, UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectInfo
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.store.files import StoringWriter

if TYPE_CHECKING:
    from bulkhaul.store.protocol import ObjectStore

BLOCK_BYTES = MIB
"""Held at once."""


class PinnedSource(io.RawIOBase):
    """An object of another store that is read to its end; where it was overwritten meanwhile, its end raises.

    Attributes:
        info: what is known of the object.
        name: its URL or path.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        """Look at the object, and open it.

        Raises:
            NotFound: there is no such object.
        """
        self._store = store
        self._key = key
        self._file: io.BufferedIOBase | None = None
        self.info: ObjectInfo = store.head(key)
        self._file = store.open(key)
        self.name = str(getattr(self._file, "name", key))

    @property
    def options(self) -> ObjectOptions:
        """How a copy is stored: its headers and metadata are the object's."""
        return ObjectOptions(content=self.info.content)

    def readable(self) -> bool:
        """It can be read, and not sought."""
        return True

    def readinto(self, into: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Read the next bytes.

        Raises:
            PreconditionFailed: this is the end, and the object is another one than at the beginning.
        """
        assert self._file is not None
        count = self._file.readinto(into)
        if not count and self._store.head(self._key).etag != self.info.etag:
            raise PreconditionFailed("it was overwritten while it was copied", self.name)
        return count

    def close(self) -> None:
        """Let go of the object."""
        if not self.closed and self._file is not None:  # None where it could not be opened
            self._file.close()
        super().close()


def copied_through(source: ObjectStore | str, source_key: str, destination: ObjectStore, key: str) -> TransferResult:
    """Copy an object with its headers and metadata; nothing is stored if it is overwritten meanwhile.

    Args:
        destination: a store in memory or in a folder.

    Raises:
        NotFound: there is no such object.
        PreconditionFailed: it was overwritten meanwhile.
        UsageError: the source is the URL of a bucket, which nothing here can ask.
    """
    if isinstance(source, str):
        raise UsageError("this store has no way to a service; open the source as an S3Store", source)
    if source is destination:
        return source.copy(source_key, key)
    with PinnedSource(source, source_key) as reader:
        with destination.open(key, "wb", options=reader.options) as writer:
            while block := reader.read(BLOCK_BYTES):
                writer.write(block)
        assert isinstance(writer, StoringWriter)
        assert writer.result is not None
        return msgspec.structs.replace(writer.result, source=reader.name)
