"""Removes files and links below a root, each only if it still is the one that was listed, and folders so emptied.

Every folder on the way is opened from the root's descriptor by its own name with O_NOFOLLOW, so that a link that was
put there meanwhile leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError
from bulkhaul.model.files import SourceIdentity

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Folder:
    """An open folder on the way. ``emptied``: something in it was removed, so that it may be empty now."""

    def __init__(self, name: str, fd: int) -> None:
        self.name = name
        self.fd = fd
        self.emptied = False


class Removal:
    """Removes files that are named in ascending order, so that a folder is left for good when the next one begins."""

    def __init__(self, root: str, stays: Callable[[str], bool] = lambda _folder: False) -> None:
        """Open the root, which may be a link.

        Args:
            stays: whether a folder stays though it is empty now; asked by its path below the root, which ends in ``/``.

        Raises:
            LocalError: it cannot be opened.
        """
        self._root = root
        self._stays = stays
        try:
            self._open = [_Folder("", os.open(root, _FLAGS))]
        except OSError as error:
            raise local_error(error, root) from error

    def remove(self, relative: str, listed: SourceIdentity, *, link: bool = False) -> None:
        """Remove one file or link; that it is gone already is no error.

        Args:
            relative: its path below the root, with ``/``.
            listed: what was found there.
            link: it was a link, which is gone, too, where something else has its place.

        Raises:
            LocalError: it is another file by now, or no file, or the folder refuses; nothing was removed.
        """
        *folders, name = relative.split("/")
        path = os.path.join(self._root, relative)
        try:
            parent = self._enter(folders)
            found = os.stat(name, dir_fd=parent.fd, follow_symlinks=False)
            now = SourceIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
            is_link = stat.S_ISLNK(found.st_mode)
            if link and not is_link:
                return
            if not (is_link if link else stat.S_ISREG(found.st_mode)) or now != listed:
                what = "link" if link else "file"
                raise LocalError(f"it is no longer the {what} that was listed, so it stays", path)
            os.unlink(name, dir_fd=parent.fd)
            parent.emptied = True
        except FileNotFoundError:
            return
        except OSError as error:
            raise local_error(error, path) from error

    def close(self) -> None:
        """Leave the last folder, and the root, which stays."""
        self._leave(1)
        os.close(self._open.pop().fd)

    def _enter(self, folders: list[str]) -> _Folder:
        shared = 1
        while shared < len(self._open) and shared <= len(folders) and self._open[shared].name == folders[shared - 1]:
            shared += 1
        self._leave(shared)
        for name in folders[shared - 1 :]:
            fd = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=self._open[-1].fd)
            self._open.append(_Folder(name, fd))
        return self._open[-1]

    def _leave(self, kept: int) -> None:
        """Close the folders beyond so many, and remove those that are empty now."""
        while len(self._open) > kept:
            folder = self._open.pop()
            os.close(folder.fd)
            below = "".join(f"{one.name}/" for one in self._open[1:])
            if folder.emptied and not self._stays(f"{below}{folder.name}/"):
                with contextlib.suppress(OSError):  # it is not empty, or is needed otherwise: it stays
                    os.rmdir(folder.name, dir_fd=self._open[-1].fd)
                    self._open[-1].emptied = True
