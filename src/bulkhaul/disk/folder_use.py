"""Keeps a folder that a transfer uses from being taken away by another one, which has made it and puts nothing in it.

Whoever uses a folder holds flock's shared lock on it. Who takes it away needs the exclusive one. Where a file system
has no such locks, no folder is taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

TRIES = 100
"""How often a folder is opened, or made, again that is taken away meanwhile."""

_PAUSES_S = (0.0005, 0.001, 0.002, 0.004)
"""How long a folder that is locked is waited for: taking it away takes microseconds, and other programs keep theirs."""


def open_in_use(path: str, *, folder_fd: int | None = None, follow: bool = True) -> int:
    """Open a folder; nobody takes it away while the descriptor, or a copy of it, is open.

    Args:
        folder_fd: where a relative path begins; None for the working folder.
        follow: whether it may be a symbolic link.

    Raises:
        OSError: it is missing, or no folder.
    """
    flags = _FLAGS if follow else _FLAGS | os.O_NOFOLLOW
    pauses_s = iter(_PAUSES_S)
    for _ in range(TRIES):
        fd = os.open(path, flags, dir_fd=folder_fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=folder_fd)):
                return fd
        except BlockingIOError:  # somebody is about to take it away
            if (pause_s := next(pauses_s, None)) is None and _is_there(fd, path, folder_fd):
                return fd  # another program has locked it
            time.sleep(pause_s or _PAUSES_S[-1])
        except FileNotFoundError:  # somebody has
            pass
        except OSError:  # no locks here
            return fd
        os.close(fd)
    return os.open(path, flags, dir_fd=folder_fd)


def _is_there(fd: int, path: str, folder_fd: int | None) -> bool:
    """Whether a path still leads to an open folder."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=folder_fd))
    return False


def take_away(fd: int, path: str, *, folder_fd: int | None = None) -> None:
    """Remove an open folder, if it holds nothing and nobody else uses it.

    Args:
        fd: its descriptor; it is in use by this one no longer.
        folder_fd: where a relative path begins; None for the working folder.
    """
    with contextlib.suppress(OSError):  # it holds something, as it should, or is used
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Before the lock another run may have taken it away, and a third one may use a new one of its name.
            if os.path.samestat(os.fstat(fd), os.stat(path, dir_fd=folder_fd, follow_symlinks=False)):
                os.rmdir(path, dir_fd=folder_fd)
        finally:
            fcntl.flock(fd, fcntl.LOCK_UN)
