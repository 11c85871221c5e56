"""Removes temp files that a killed run left behind, and none whose owner holds it.

The owner of a temp file holds its lock until its process ends (``disk.locks``). Those of small objects in batches
have no lock (``disk.small_files``): one that is taken before it gets its name costs another fetch. A run looks at each
folder once.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator

from bulkhaul.disk.landing import TEMP_NAME
from bulkhaul.disk.locks import has_owner, remove_owned, take_lock
from bulkhaul.disk.oserrors import local_error

REMEMBERED_FOLDERS = 4096
"""Folders remembered as swept; one that is forgotten is looked at again, which only costs time."""


class Sweeper:
    """Looks at each folder once."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[int, int], None] = OrderedDict()

    def sweep(self, folder_fd: int) -> list[str]:
        """Remove stale temp files in a folder that was not swept yet; returns their names.

        Raises:
            LocalError: the folder cannot be read.
        """
        try:
            return self._sweep(folder_fd)
        except OSError as error:
            raise local_error(error, "the destination folder") from error

    def _sweep(self, folder_fd: int) -> list[str]:
        found = os.fstat(folder_fd)
        if (found.st_dev, found.st_ino) in self._seen:
            return []
        self._seen[found.st_dev, found.st_ino] = None
        if len(self._seen) > REMEMBERED_FOLDERS:
            self._seen.popitem(last=False)
        with os.scandir(folder_fd) as entries:
            temps = [entry for entry in entries if TEMP_NAME.fullmatch(entry.name)]
            names = [entry.name for entry in temps if entry.is_file(follow_symlinks=False)]
        return [name for name in names if _remove_if_stale(folder_fd, name)]


def stale_temps(folder: str) -> Iterator[str]:
    """Yield the paths of temp files without an owner, in a folder and all below it; links are not followed.

    Raises:
        LocalError: a folder cannot be read.
    """

    def failed(error: OSError) -> None:
        raise local_error(error, str(error.filename or folder)) from error

    for path, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        for name in sorted(names):
            if TEMP_NAME.fullmatch(name) and _is_stale(os.path.join(path, name)):
                yield os.path.join(path, name)


def remove_temp(path: str) -> bool:
    """Remove a temp file if it has no owner; whether it was removed.

    Raises:
        LocalError: its folder is gone.
    """
    folder, name = os.path.split(path)
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise local_error(error, folder) from error
    try:
        return _remove_if_stale(fd, name)
    finally:
        os.close(fd)


def _is_stale(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # it is gone, or not ours to open, or no file: it stays
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and not has_owner(fd)
    except OSError:
        return False  # it cannot be told
    finally:
        os.close(fd)


def _remove_if_stale(folder_fd: int, name: str) -> bool:
    try:
        fd = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder_fd)
    except OSError:
        return False  # it is gone, or not ours to open, or no file: it stays
    try:
        return take_lock(fd) and remove_owned(fd, name, folder_fd=folder_fd)
    except OSError:
        return False  # whether it has an owner cannot be told
    finally:
        os.close(fd)
