"""Opens what a manifest is read from: a local path, stdin, or an object, which is fetched to a temporary file first.

An object is fetched whole and verified by the engine before a row of it is read: none is believed of half a manifest.
Formats get an open file, and know nothing of where its bytes come from.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import stat
import tempfile
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.model.errors import Cancelled, LocalError, ManifestError, NotFound, UsageError
from bulkhaul.model.limits import KIB

STDIN = "-"
"""What stands for stdin where a manifest is named."""

_BUFFER_BYTES = 256 * KIB
_LOOK_MS = 200
"""How often a read that waits for a pipe looks whether it is still wanted, in milliseconds."""


class Downloads(Protocol):
    """What an engine is needed for: ``AsyncEngine.download``."""

    async def download(self, url: str, path: str) -> Any:
        """Fetch one object to a path, verified."""
        ...


class StoppableFile(io.FileIO):
    """A file whose reads end soon after ``stop``, also those that wait for a pipe: a thread cannot be cancelled."""

    _stopped = False

    def stop(self) -> None:
        """Have every read fail from now on, and the one that waits."""
        self._stopped = True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as there are bytes now.

        Raises:
            Cancelled: it was stopped.
        """
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        while not self._stopped:
            if waiting.poll(_LOOK_MS) and (count := super().readinto(buffer)) is not None:
                return count
        raise Cancelled("the manifest is no longer wanted", str(self.name))


class OpenFile(io.BufferedReader):
    """A buffered file that can be stopped."""

    def __init__(self, raw: StoppableFile) -> None:
        super().__init__(raw, _BUFFER_BYTES)
        self.stop = raw.stop


class Opener:
    """Opens manifests and their data files by name."""

    def __init__(self, engine: Downloads | None = None, *, temp_folder: str | None = None) -> None:
        """Say where bytes come from.

        Args:
            engine: fetches what ``s3://`` names; None where nothing does.
            temp_folder: where objects are fetched to, one at a time; by default where the system has such files.
        """
        self._engine = engine
        self._temp_folder = temp_folder

    @property
    def reaches_s3(self) -> bool:
        """Whether objects can be opened."""
        return self._engine is not None

    @contextlib.asynccontextmanager
    async def open(self, name: str) -> AsyncGenerator[OpenFile, None]:
        """Open ``s3://bucket/key``, ``-`` or a path.

        Raises:
            NotFound: there is no such object.
            TransferError: it cannot be fetched.
            ManifestError: there is no such file.
            LocalError: the path cannot be opened, or is a folder.
        """
        file = await self._object(name) if name.startswith("s3://") else _local(name, name)
        try:
            yield file
        finally:
            file.close()

    async def small(self, name: str, limit_bytes: int) -> bytes | None:
        """Return the content of a file that is small by nature; None where there is none.

        Raises:
            ManifestError: it is longer than ``limit_bytes``.
        """
        try:
            async with self.open(name) as file:
                content = await in_thread(file.read, limit_bytes + 1)
        except NotFound:
            return None
        except LocalError as error:
            if error.cause == "ENOENT":
                return None
            raise
        if len(content) > limit_bytes:
            raise ManifestError(f"it is longer than {limit_bytes} bytes, so it is not what its name says", name)
        return content

    async def _object(self, name: str) -> OpenFile:
        if self._engine is None:
            raise UsageError("this is an object, and there is no engine to fetch it", name)
        try:
            folder = tempfile.TemporaryDirectory(prefix="bulkhaul-manifest-", dir=self._temp_folder)
        except OSError as error:
            raise local_error(error, self._temp_folder or tempfile.gettempdir()) from error
        with folder as path:  # gone at once: the open file keeps the bytes
            fetched = os.path.join(path, "manifest")
            await self._engine.download(name, fetched)
            return _local(fetched, name)


def _local(path: str, name: str) -> OpenFile:
    try:
        file = StoppableFile(path, opener=_descriptor)
    except FileNotFoundError as error:
        raise ManifestError("there is no such file; check its path", name, "ENOENT") from error
    except OSError as error:
        raise local_error(error, name) from error
    file.name = name
    return OpenFile(file)


def _descriptor(path: str, flags: int) -> int:
    # A named pipe that nobody writes to yet is waited for by reads, which can be stopped, and not by its opening.
    return os.dup(0) if path == STDIN else os.open(path, flags | os.O_NONBLOCK)


def is_seekable(file: io.BufferedIOBase) -> bool:
    """Whether a file may be read from its beginning once more: only a regular one."""
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
