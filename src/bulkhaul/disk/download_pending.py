"""Finds the journals of downloads that earlier runs left behind, and takes them over.

A journal counts only if it is this user's own and nobody else can write it: what it names is opened and published.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator

import msgspec

from bulkhaul.disk.download_journal import DownloadJournal, journal_name
from bulkhaul.disk.download_records import DownloadState, first_record, read_journal
from bulkhaul.disk.frames import HEADER, MAX_BODY_BYTES, Flaw, read_all
from bulkhaul.disk.left_temp import JOURNAL_NAME, TEMP_NAME
from bulkhaul.disk.locks import has_owner, open_locked, remove_owned, take_lock
from bulkhaul.disk.oserrors import local_error

MAX_JOURNAL_BYTES = 64 * 1024 * 1024
"""A longer file is not read: 10,000 parts take about 0.5 MiB."""

_log = logging.getLogger("bulkhaul")

_NO_FILE = frozenset({errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENOTDIR})
"""What opening a symlink, a folder or a socket says."""

_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FoundDownload(msgspec.Struct, frozen=True):
    """A journal that no run holds.

    Attributes:
        path: of the journal.
        temp: path of the temp file that it names, empty where that is gone or none is named.
        flaw: why there is no state.
    """

    path: str
    temp: str
    state: DownloadState | None
    flaw: Flaw | None = None


def has_journal(folder_fd: int, destination: str) -> bool:
    """Whether an earlier download to this name may have left a journal."""
    return os.access(journal_name(destination), os.F_OK, dir_fd=folder_fd, follow_symlinks=False)


def open_for_resume(folder_fd: int, destination: str) -> tuple[DownloadJournal, DownloadState | Flaw] | None:
    """Take over the journal of an interrupted download without waiting; a torn tail is cut off.

    Returns:
        None if there is none, its owner lives, or it is not this user's own.

    Raises:
        OSError: the disk refuses.
    """
    name = journal_name(destination)
    try:
        fd = open_locked(name, folder_fd=folder_fd)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    if fd is None:
        return None
    journal = None
    try:
        if not is_private(os.fstat(fd)):
            return None
        state, whole_bytes = _read(fd)
        if isinstance(state, DownloadState):
            os.ftruncate(fd, whole_bytes)
        parts = len(state.parts) if isinstance(state, DownloadState) else 0
        journal = DownloadJournal(fd, folder_fd, name, whole_bytes, parts)
        return journal, state
    finally:
        if journal is None:
            os.close(fd)


def is_private(found: os.stat_result) -> bool:
    """Whether a file is a regular one of this user, with one name, that nobody else may write."""
    regular = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    return regular and found.st_uid == os.geteuid() and not found.st_mode & 0o022


def named_temps(folder_fd: int, names: list[str]) -> set[str]:
    """Return the temp files that journals of a folder name, journals of every version.

    Args:
        names: of everything in the folder.
    """
    temps = set()
    for name in names:
        if JOURNAL_NAME.fullmatch(name):
            try:
                fd = os.open(name, _LOOK, dir_fd=folder_fd)
            except OSError:
                continue  # it is gone, or not ours to open: then its temp file is not, either
            try:
                first = (
                    first_record(os.pread(fd, HEADER.size + MAX_BODY_BYTES, 0))
                    if stat.S_ISREG(os.fstat(fd).st_mode)
                    else None
                )
            except OSError:
                first = None
            finally:
                os.close(fd)
            if first is not None:
                temps.add(first.temp)
    return temps


def remove_ended(folder_fd: int, name: str) -> None:
    """Remove a journal whose download has ended or never was, or whose temp file is gone, if no run holds it."""
    try:
        fd = open_locked(name, folder_fd=folder_fd)
    except OSError:
        return  # not ours to open, or no file
    if fd is None:
        return
    try:
        state, _ = _read(fd) if is_private(os.fstat(fd)) else (Flaw.FOREIGN, 0)
        gone = isinstance(state, DownloadState) and not os.access(
            state.plan.temp, os.F_OK, dir_fd=folder_fd, follow_symlinks=False
        )
        if isinstance(state, DownloadState) and gone and not state.published:
            _log.info("the download to %s begins anew: the temp file is gone", state.plan.destination)
        if state is Flaw.EMPTY or gone:
            remove_owned(fd, name, folder_fd=folder_fd)
    except OSError:
        return  # a later run tries again
    finally:
        os.close(fd)


def interrupted(folder: str, names: list[str]) -> Iterator[FoundDownload]:
    """Look at the journals of a folder that no run holds; changes nothing.

    Args:
        names: of everything in the folder.
    """
    for name in sorted(names):
        if JOURNAL_NAME.fullmatch(name) and (found := _looked_at(os.path.join(folder, name))) is not None:
            yield found


def discard_download(path: str) -> bool:
    """Remove the journal of a dead run, and the temp file that it names before it; whether they are gone.

    Raises:
        LocalError: the disk refuses.
    """
    folder, name = os.path.split(path)
    try:
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fd = open_locked(name, folder_fd=folder_fd)
            if fd is None:
                return False
            try:
                state, _ = _read(fd)
                if isinstance(state, Flaw) and state is not Flaw.EMPTY:
                    return False
                temp = _temp_of(state, folder_fd) if isinstance(state, DownloadState) else ""
                if temp and not remove_unowned(folder_fd, temp):
                    return False
                return remove_owned(fd, name, folder_fd=folder_fd)
            finally:
                os.close(fd)
        finally:
            os.close(folder_fd)
    except OSError as error:
        raise local_error(error, path) from error


def remove_unowned(folder_fd: int, name: str) -> bool:
    """Remove a temp file if it has no owner; whether it was removed."""
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


def _looked_at(path: str) -> FoundDownload | None:
    try:
        fd = os.open(path, _LOOK)
    except FileNotFoundError:
        return None  # ended since the listing
    except OSError as error:
        return FoundDownload(path, "", None, Flaw.FOREIGN if error.errno in _NO_FILE else Flaw.UNREADABLE)
    try:
        if has_owner(fd):
            return None
        state, _ = _read(fd)
    except OSError:
        return FoundDownload(path, "", None, Flaw.UNREADABLE)
    finally:
        os.close(fd)
    if isinstance(state, Flaw):
        return FoundDownload(path, "", None, state)
    folder_fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        temp = _temp_of(state, folder_fd)
    finally:
        os.close(folder_fd)
    return FoundDownload(path, os.path.join(os.path.dirname(path), temp) if temp else "", state)


def _temp_of(state: DownloadState, folder_fd: int) -> str:
    """Return the name of the temp file that a journal names, empty if that is gone or cannot be one of ours."""
    temp = state.plan.temp
    if state.published or "/" in temp or not TEMP_NAME.fullmatch(temp):
        return ""
    try:
        found = os.stat(temp, dir_fd=folder_fd, follow_symlinks=False)
    except OSError:
        return ""
    return temp if stat.S_ISREG(found.st_mode) and found.st_ino == state.plan.inode else ""


def _read(fd: int) -> tuple[DownloadState | Flaw, int]:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return Flaw.FOREIGN, 0
    data = read_all(fd, MAX_JOURNAL_BYTES)
    return (Flaw.FOREIGN, 0) if data is None else read_journal(data)
