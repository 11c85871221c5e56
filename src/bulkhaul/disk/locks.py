"""Locks files for as long as the process that owns them lives: temp files and journals.

The owner holds flock's exclusive lock, which ends with its last descriptor, however the process ends. A process that
only looks whether there is an owner takes the shared lock for a moment. So two that look never take each other for the
owner, and one that wants to own the file tries again while others look.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems without locks answer."""

_LOOKS = 50
_LOOK_S = 0.001
"""How often, and after which pause, a lock is tried again while others only look."""


def take_lock(fd: int) -> bool:
    """Become the owner without waiting for another one; False if there is one.

    Raises:
        OSError: the file system has no locks.
    """
    for _ in range(_LOOKS):
        if _locked(fd, fcntl.LOCK_EX):
            return True
        if has_owner(fd):
            return False
        time.sleep(_LOOK_S)
    return False


def has_owner(fd: int) -> bool:
    """Whether another descriptor holds the file; the caller's must not.

    Raises:
        OSError: the file system has no locks.
    """
    if not _locked(fd, fcntl.LOCK_SH):
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def is_at(fd: int, path: str, *, folder_fd: int | None = None) -> bool:
    """Whether the open file is the one at ``path``: a lock on one that was removed or replaced means nothing.

    Args:
        folder_fd: where a relative ``path`` begins; None for the working folder.
    """
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=folder_fd, follow_symlinks=False))
    except FileNotFoundError:
        return False


def create_locked(path: str, mode: int, *, folder_fd: int | None = None) -> int | None:
    """Create a file and become its owner; None if the name is taken, or was taken away at once.

    Args:
        folder_fd: where a relative ``path`` begins; None for the working folder.

    Raises:
        OSError: the folder refuses, or its file system has no locks.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=folder_fd)
    except FileExistsError:
        return None
    try:
        if take_lock(fd) and is_at(fd, path, folder_fd=folder_fd):
            return fd
    except OSError:
        os.close(fd)
        os.unlink(path, dir_fd=folder_fd)
        raise
    os.close(fd)  # a run that clears empty files was faster than the lock
    return None


def open_locked(path: str, *, folder_fd: int | None = None) -> int | None:
    """Open a file for reading and writing and become its owner; None if it is gone or has one. Links are refused.

    Args:
        folder_fd: where a relative ``path`` begins; None for the working folder.

    Raises:
        OSError: it cannot be opened, or its file system has no locks.
    """
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder_fd)
        except FileNotFoundError:
            return None
        try:
            if not take_lock(fd):
                os.close(fd)
                return None
            if is_at(fd, path, folder_fd=folder_fd):
                return fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)  # its owner removed it between the two calls: look what is there now


def remove_owned(fd: int, path: str, *, folder_fd: int | None = None) -> bool:
    """Remove a file that the caller owns, if it still has its name; whether it was removed.

    Args:
        folder_fd: where a relative ``path`` begins; None for the working folder.

    Raises:
        OSError: the folder refuses.
    """
    if is_at(fd, path, folder_fd=folder_fd):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path, dir_fd=folder_fd)
            return True
    return False


def _locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
