"""Reads symbolic links, and makes them: beside their name first, then by a rename, as files are published."""

from __future__ import annotations

import contextlib
import os
import stat

from bulkhaul.disk.folder import flush
from bulkhaul.disk.landing import temp_name
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError, SourceChanged


def is_link(path: str) -> bool:
    """Whether a path is itself a symbolic link."""
    return os.path.islink(path)


def target_of(path: str) -> bytes:
    """Return where a link leads.

    Raises:
        LocalError: it is none, or cannot be read.
    """
    try:
        return os.readlink(os.fsencode(path))
    except OSError as error:
        raise local_error(error, path) from error


def remove_link(path: str, target: bytes) -> None:
    """Remove a link that still leads where it did.

    Raises:
        SourceChanged: it leads elsewhere; it stays.
        LocalError: the folder refuses.
    """
    if target_of(path) != target:
        raise SourceChanged("the link was changed since it was stored; that one was not removed", path)
    try:
        os.unlink(path)
    except OSError as error:
        raise local_error(error, path) from error


def make_link(folder_fd: int, name: str, path: str, target: bytes, *, mtime_ns: int | None, fsync: bool) -> None:
    """Make a link; it replaces another link, and nothing else.

    Args:
        path: for messages.
        mtime_ns: when it is to have been modified last; None for now.
        fsync: flush the folder after it.

    Raises:
        LocalError: a file or a folder has its name, or the file system refuses.
    """
    temp = temp_name(name)
    try:
        os.symlink(target, temp, dir_fd=folder_fd)
        try:
            if mtime_ns is not None:
                os.utime(temp, ns=(mtime_ns, mtime_ns), dir_fd=folder_fd, follow_symlinks=False)
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISLNK(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
                    text = "a file or a folder is in the place of the link; remove it first"
                    raise LocalError(text, path, "EEXIST")
            os.rename(temp, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        finally:
            with contextlib.suppress(OSError):  # gone by the rename, as it should
                os.unlink(temp, dir_fd=folder_fd)
        if fsync:
            flush(folder_fd)
    except OSError as error:
        raise local_error(error, path) from error
