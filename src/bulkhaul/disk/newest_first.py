"""Turns the versions of one key round: a listing tells the newest first, and what copies them needs the oldest first.

A key has most often a handful. The versions of one that has many wait in a file without a name.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from bulkhaul.disk.temporary import uses_temporary_files
from bulkhaul.model.writing import ObjectVersion

BLOCK_VERSIONS = 1000
"""Versions that are written, and read again, together: some 500 KB of memory, and two blocks are there at most."""

_decode = msgspec.msgpack.Decoder(list[ObjectVersion]).decode


class NewestFirst:
    """The versions of one key as a listing tells them.

    Attributes:
        count: of them.
        doubtful: the service does not tell the order of some of them.
    """

    def __init__(self) -> None:
        self.count = 0
        self.doubtful = False
        self._block: list[ObjectVersion] = []
        self._file: BinaryIO | None = None
        self._places: list[tuple[int, int]] = []

    def add(self, version: ObjectVersion) -> None:
        """Take the next one, which is older than those before it.

        Raises:
            LocalError: there is no room for temporary files.
        """
        if len(self._block) == BLOCK_VERSIONS:
            self._spill()
        self._block.append(version)
        self.count += 1
        self.doubtful = self.doubtful or version.doubtful

    def oldest_first(self) -> Iterator[ObjectVersion]:
        """Yield all of them, once; none may be added any more. At its end it forgets everything.

        Raises:
            LocalError: the temporary file cannot be read.
        """
        try:
            yield from reversed(self._block)
            self._block = []
            for start, length in reversed(self._places):
                yield from reversed(self._block_at(start, length))
        finally:
            self.close()

    def close(self) -> None:
        """Forget everything."""
        self._block, self._places = [], []
        if self._file is not None:
            with contextlib.suppress(OSError):  # it cannot be written, as was told, and nobody will read it
                self._file.close()

    @uses_temporary_files
    def _block_at(self, start: int, length: int) -> list[ObjectVersion]:
        assert self._file is not None
        self._file.seek(start)
        return _decode(self._file.read(length))

    @uses_temporary_files
    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="bulkhaul-versions-")  # noqa: SIM115 - closed by close
        encoded = msgspec.msgpack.encode(self._block)
        self._places.append((self._file.tell(), len(encoded)))
        self._file.write(encoded)
        self._block = []


__all__ = ["NewestFirst"]
