"""Opens and makes the folders below a destination, never leaving it, and flushes folders.

Paths are walked component by component with O_NOFOLLOW from the root's descriptor, so neither ``..`` nor a symlink
planted inside can lead outside. Callers pass components of ``policy.naming``, never keys.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable

from bulkhaul.disk.folder_use import TRIES, open_in_use, take_away
from bulkhaul.disk.made_folders import MadeFolders
from bulkhaul.disk.modes import inherited_mode
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError

OPEN_FOLDERS = 64
"""Folders kept open at most; listings come sorted, so neighbours share theirs."""

REMEMBERED = 10_000
"""Folders of one run that are remembered as made by it, so that those that stay empty are taken away."""

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""What opening without following links says where no file is: nothing, a file in place of a folder, a link, a socket,
or a name that this file system cannot have."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class FolderHandle:
    """An open folder, shared by the landings in it; closed when the last one lets go."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._users = 1
        self._inherited: int | None = None
        self._asked = False
        self._vacant: bool | None = None

    def inherited_mode(self) -> int | None:
        """Return the permission bits that the folder's default ACL gives a new file, None without one; asked once."""
        if not self._asked:
            self._inherited, self._asked = inherited_mode(self.fd), True
        return self._inherited

    def was_vacant(self) -> bool:
        """Return whether the folder held nothing when this was asked first, so that every name in it was free."""
        if self._vacant is None:
            self._vacant = False
            with contextlib.suppress(OSError), os.scandir(self.fd) as entries:
                self._vacant = next(entries, None) is None
        return self._vacant

    def share(self) -> FolderHandle:
        """Count one more user."""
        self._users += 1
        return self

    def release(self) -> None:
        """Count one user less."""
        self._users -= 1
        if not self._users:
            os.close(self.fd)


def flush(fd: int) -> None:
    """Flush a folder, so that the names in it survive a power failure.

    Raises:
        OSError: the disk refuses.
    """
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has nothing to flush for a folder
            raise


def open_folder(path: str) -> FolderHandle:
    """Open an existing folder that the user named; here symlinks are followed.

    Raises:
        LocalError: it does not exist or is no folder.
    """
    try:
        return FolderHandle(open_in_use(path or "."))
    except OSError as error:
        raise local_error(error, path) from error


def open_below(folder_fd: int, components: tuple[str, ...], *, make: bool) -> FolderHandle:
    """Open a folder below an open one, never through a link; the caller releases it.

    Args:
        make: make what is missing, and flush the folders in which something was made.

    Raises:
        OSError: a component is missing, a file or a link, or the file system refuses.
    """
    fd = os.dup(folder_fd)
    try:
        for name in components:
            below = _enter(fd, name, durable=True) if make else os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
    except OSError:
        os.close(fd)
        raise
    return FolderHandle(fd)


class DestinationTree:
    """Opens (and makes) the folders below a root.

    Raises:
        LocalError: the root cannot be made or opened.
    """

    def __init__(self, root: str, *, kept: int) -> None:
        """Open the root.

        Args:
            kept: folders that stay open for the next object, beside those in use.
        """
        self.root = root
        self._kept = kept
        self._above = MadeFolders()
        self._made: set[tuple[str, ...]] = set()
        self._root = FolderHandle(self._above.make(root))
        self._open: OrderedDict[tuple[str, ...], FolderHandle] = OrderedDict()

    def folder(self, components: tuple[str, ...]) -> FolderHandle:
        """Return the folder below the root, made if missing; the caller releases it.

        Raises:
            LocalError: a component is a file, a symlink, or cannot be made.
        """
        if not components:
            return self._root.share()
        if (known := self._open.get(components)) is not None:
            self._open.move_to_end(components)
            return known.share()
        parent = self.folder(components[:-1])
        try:
            handle = FolderHandle(_enter(parent.fd, components[-1], on_made=lambda: self._remember(components)))
        except OSError as error:
            raise local_error(error, os.path.join(self.root, *components)) from error
        finally:
            parent.release()
        self._open[components] = handle
        if len(self._open) > self._kept:
            self._open.popitem(last=False)[1].release()
        return handle.share()

    def keep(self, components: tuple[str, ...]) -> None:
        """Let a folder stay although it may hold nothing.

        Raises:
            LocalError: it cannot be made.
        """
        self.folder(components).release()
        self._made.difference_update(components[:depth] for depth in range(1, len(components) + 1))

    def close(self) -> None:
        """Let go of every folder that no landing still uses; those that were made for nothing are taken away."""
        self._drop_empty()
        for handle in self._open.values():
            handle.release()
        self._open.clear()
        self._above.drop_empty(self._root.fd)
        self._root.release()

    def _remember(self, components: tuple[str, ...]) -> None:
        if len(self._made) < REMEMBERED:
            self._made.add(components)

    def _drop_empty(self) -> None:
        """Take away the folders that were made and hold nothing, as the object they were made for has failed."""
        for made in sorted(self._made, key=len, reverse=True):
            *above, name = made
            with contextlib.suppress(OSError):  # gone already
                parent = open_below(self._root.fd, tuple(above), make=False)
                known = self._open.get(made)
                try:
                    # Of a descriptor that workers have, too, the lock is the same.
                    fd = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=parent.fd) if known is None else os.dup(known.fd)
                    try:
                        take_away(fd, name, folder_fd=parent.fd)
                    finally:
                        os.close(fd)
                finally:
                    parent.release()

    def folds_case(self) -> bool:
        """Whether the root's file system takes two names that differ in case as one.

        Raises:
            LocalError: the folder cannot be written.
        """
        name = f".bulkhaul-case-{secrets.token_hex(8)}"
        try:
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=self._root.fd))
            try:
                os.stat(name.upper(), dir_fd=self._root.fd, follow_symlinks=False)
                return True
            except FileNotFoundError:
                return False
            finally:
                os.unlink(name, dir_fd=self._root.fd)
        except OSError as error:
            raise local_error(error, self.root) from error


def _enter(parent_fd: int, name: str, *, durable: bool = False, on_made: Callable[[], None] | None = None) -> int:
    for _ in range(TRIES):
        try:
            return open_in_use(name, folder_fd=parent_fd, follow=False)
        except FileNotFoundError:  # or taken away meanwhile, as it was empty
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.mkdir(name, dir_fd=parent_fd)
                if on_made is not None:
                    on_made()
                if durable:
                    flush(parent_fd)
    return open_in_use(name, folder_fd=parent_fd, follow=False)


__all__ = ["OPEN_FOLDERS", "DestinationTree", "FolderHandle", "LocalError", "open_below", "open_folder"]
