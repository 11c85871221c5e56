"""Opens, begins, removes and lists the files of a folder by their keys, never leaving it and never through a link.

A key is the path of a file below the folder. Folders come with the first file in them and go with the last.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from bulkhaul.disk.folder import ABSENT, FolderHandle, flush, open_below
from bulkhaul.disk.keyed import keyed_files
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.left_temp import is_ours
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.source import SourceFile
from bulkhaul.disk.sweep import Sweeper
from bulkhaul.model.errors import DurabilityUnknown, LocalError, NotFound, UnsafeKey
from bulkhaul.model.files import SourceIdentity
from bulkhaul.policy.naming import local_name

_TRIES = 100
"""How often a folder is made again that was removed, since it was empty, before the new file was in it."""

_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class FileTree:
    """The files below one folder; threads and processes may share it."""

    def __init__(self, folder: str) -> None:
        """Name the folder; whether it is there shows when it is used."""
        self.folder = folder
        self._sweeper = Sweeper()
        self._sweeping = threading.Lock()

    def path(self, key: str) -> str:
        """Return the path of the file that a key means, for messages."""
        return os.path.join(self.folder, key)

    @contextmanager
    def opened(self, key: str) -> Iterator[SourceFile]:
        """Open a file.

        Raises:
            NotFound: there is none: nothing, or a folder, a link or a device. Or the folder of all is missing.
            LocalError: it cannot be read.
        """
        *above, name = components_of(key)
        path = self.path(key)
        with self.root(key) as root:
            try:
                folder = open_below(root, tuple(above), make=False)
                try:
                    fd = os.open(name, _FILE, dir_fd=folder.fd)
                finally:
                    folder.release()
            except OSError as error:
                if error.errno in ABSENT:
                    raise NotFound("there is no such object; check its key", path) from error
                raise local_error(error, path) from error
        status = os.fstat(fd)
        with closing(SourceFile(fd, path, identity_of(status))) as found:
            if not stat.S_ISREG(status.st_mode):
                raise NotFound("there is no such object; a folder or a device has its name", path)
            yield found

    @contextmanager
    def landing(self, key: str, size_bytes: int) -> Iterator[tuple[FolderHandle, Landing]]:
        """Begin a file, with the folders that it needs; one that is not published is discarded.

        Raises:
            NotFound: the folder of all is missing.
            LocalError: a file or a link is in the place of a folder, or the file system refuses.
        """
        *above, name = components_of(key)
        with self.root(key) as root:
            folder, landing = self._begun(root, tuple(above), name, self.path(key), size_bytes)
        try:
            yield folder, landing
        finally:
            landing.discard()
            folder.release()

    def remove(self, key: str) -> None:
        """Remove a file, and the folders that it leaves empty. One that is gone is no error.

        Raises:
            DurabilityUnknown: it is removed, but its folder could not be flushed.
            LocalError: the file system refuses.
        """
        *above, name = components_of(key)
        path = self.path(key)
        with self.root(key) as root:
            try:
                folder = open_below(root, tuple(above), make=False)
                try:
                    os.unlink(name, dir_fd=folder.fd)
                    _flush_removal(folder.fd, path)
                finally:
                    folder.release()
            except OSError as error:
                if error.errno in ABSENT:
                    return
                raise local_error(error, path) from error
            _remove_empty(root, tuple(above))

    def files(self, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """Yield key and state of every file whose key begins with ``prefix``, in the order of keys; see ``disk.keyed``.

        Raises:
            NotFound: the folder of all is missing.
            LocalError: a folder cannot be read.
        """
        above, slash, start = prefix.rpartition("/")
        with self.root(prefix) as root:
            if slash and local_name(above).refused:
                return  # no key begins so
            try:
                first = open_below(root, tuple(above.split("/")) if slash else (), make=False)
            except OSError as error:
                if error.errno in ABSENT:
                    return
                raise local_error(error, self.path(prefix)) from error
        try:
            yield from keyed_files(first.fd, above + slash, start, self.folder)
        finally:
            first.release()

    @contextmanager
    def root(self, key: str) -> Iterator[int]:
        """Open the folder of all, which may be reached through links.

        Args:
            key: what it is opened for.

        Raises:
            NotFound: it does not exist.
            LocalError: it cannot be opened.
        """
        try:
            root = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in ABSENT:
                raise NotFound("the folder of the store does not exist; create it first", self.path(key)) from error
            raise local_error(error, self.folder) from error
        try:
            yield root
        finally:
            os.close(root)

    def _begun(
        self, root: int, above: tuple[str, ...], name: str, path: str, size_bytes: int
    ) -> tuple[FolderHandle, Landing]:
        for _ in range(_TRIES):
            try:
                folder = open_below(root, above, make=True)
            except FileNotFoundError:
                continue  # a folder was removed, since it was empty: make it again
            except OSError as error:
                raise local_error(error, path) from error
            try:
                with self._sweeping:
                    self._sweeper.sweep(folder.fd)
                return folder, Landing.create(folder.fd, name, path, size_bytes, allocate=False, prefer_mapped=False)
            except LocalError as error:
                folder.release()
                if error.cause != errno.errorcode[errno.ENOENT]:
                    raise
        raise LocalError("its folder is removed over and over; another program clears them", path)


def components_of(key: str) -> tuple[str, ...]:
    """Return the path of a key below the folder.

    Raises:
        UnsafeKey: it can be no path, though a bucket would take it.
    """
    name = local_name(key)
    if name.refused:
        raise UnsafeKey(f"the key cannot become a path: {name.refused.partition(';')[0]}", key)
    if is_ours(name.components[-1]):
        raise UnsafeKey("the key cannot become a path: temp files are called so", key)
    return name.components


def identity_of(status: os.stat_result) -> SourceIdentity:
    """Return which file it is, and in which state."""
    return SourceIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _flush_removal(folder_fd: int, path: str) -> None:
    try:
        flush(folder_fd)
    except OSError as error:
        text = "the object is removed, but its folder could not be flushed: it may be back after a power failure"
        raise DurabilityUnknown(text, path, errno.errorcode.get(error.errno or 0, "")) from error


def _remove_empty(root: int, above: tuple[str, ...]) -> None:
    """Remove the folders on a path, the innermost first, up to one that something is in."""
    with suppress(OSError):
        while above:
            folder = open_below(root, above[:-1], make=False)
            try:
                os.rmdir(above[-1], dir_fd=folder.fd)
            finally:
                folder.release()
            above = above[:-1]
