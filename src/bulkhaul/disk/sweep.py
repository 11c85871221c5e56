"""Removes temp files that a killed run left behind, and none whose owner holds it, or that a journal names.

The owner of a temp file holds its lock until its process ends (``disk.locks``). Those of small objects in batches
have no lock (``disk.small_files``): one that is taken before it gets its name costs another fetch. A run looks at each
folder once.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator

from bulkhaul.disk.download_pending import FoundDownload, interrupted, named_temps, remove_ended, remove_unowned
from bulkhaul.disk.left_temp import JOURNAL_NAME, TEMP_NAME
from bulkhaul.disk.locks import has_owner
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
            ours = [entry for entry in entries if ".bulkhaul-" in entry.name]
            names = [entry.name for entry in ours if entry.is_file(follow_symlinks=False)]
        temps = {name for name in names if TEMP_NAME.fullmatch(name)}
        journals = [name for name in names if JOURNAL_NAME.fullmatch(name)]
        for name in journals:
            remove_ended(folder_fd, name)
        # Looked at after the temp files: each that was there has its journal by now, or gets none.
        temps -= named_temps(folder_fd, journals)
        return [name for name in sorted(temps) if remove_unowned(folder_fd, name)]


def stale_temps(folder: str) -> Iterator[str]:
    """Yield the paths of temp files without owner and journal, in a folder and all below it; links are not followed.

    Raises:
        LocalError: a folder cannot be read.
    """
    for path, names in _walked(folder):
        temps = {name for name in names if TEMP_NAME.fullmatch(name)}
        if temps and any(JOURNAL_NAME.fullmatch(name) for name in names):
            temps -= _named_in(path, names)
        for name in sorted(temps):
            if _is_stale(os.path.join(path, name)):
                yield os.path.join(path, name)


def interrupted_downloads(folder: str) -> Iterator[FoundDownload]:
    """Yield the journals of downloads that no run holds, in a folder and all below it; links are not followed.

    Raises:
        LocalError: a folder cannot be read.
    """
    for path, names in _walked(folder):
        yield from interrupted(path, names)


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
        return name not in named_temps(fd, os.listdir(fd)) and remove_unowned(fd, name)
    finally:
        os.close(fd)


def disk_bytes(path: str) -> int:
    """Return how many bytes a file takes on the disk, 0 if it is gone."""
    try:
        return os.stat(path, follow_symlinks=False).st_blocks * 512  # source: stat(2), st_blocks
    except OSError:
        return 0


def _walked(folder: str) -> Iterator[tuple[str, list[str]]]:
    def failed(error: OSError) -> None:
        raise local_error(error, str(error.filename or folder)) from error

    for path, folders, names in os.walk(folder, onerror=failed):
        folders.sort()
        yield path, names


def _named_in(path: str, names: list[str]) -> set[str]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise local_error(error, path) from error
    try:
        return named_temps(fd, names)
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
