"""Finds, makes and flushes the state folder, which holds the journals of uploads, and words its errors."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd

from bulkhaul.disk.folder import flush
from bulkhaul.disk.locks import NO_LOCKS
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError

_REMEDY = "set BULKHAUL_STATE_DIR to a folder that can hold the journals of uploads"


def state_path(setting: str | None, kind: str = "uploads") -> str:
    """Return where the journals of uploads lie, or what else is kept, whether or not there is such a folder.

    Args:
        setting: what the caller chose; else ``$BULKHAUL_STATE_DIR``, ``$XDG_STATE_HOME/bulkhaul`` or
            ``~/.local/state/bulkhaul``.

    Raises:
        LocalError: nothing was chosen, and this user has no home.
    """
    base = setting or os.environ.get("BULKHAUL_STATE_DIR") or _default()
    return os.path.join(os.path.abspath(base), kind)


def state_folder(setting: str | None, kind: str = "uploads") -> str:
    """Return the folder of the journals of uploads, or what else, made if missing, for its owner alone.

    See ``state_path``.

    Raises:
        LocalError: there is no place for it, or it cannot be made, or not be written.
    """
    folder = state_path(setting, kind)
    try:
        _make(folder)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise state_error(error, folder) from error
    return folder


def state_error(error: OSError, path: str) -> LocalError:
    """Return the typed error for a failed system call in the state folder, with its remedy."""
    known = local_error(error, path)
    if error.errno in NO_LOCKS:
        known = type(known)("its file system has no locks", path, known.cause)
    return with_remedy(known)


def with_remedy(error: LocalError) -> LocalError:
    """Return an error of a file in the state folder with the remedy that there is for those."""
    return type(error)(f"{error.message.split(';')[0]}; {_REMEDY}", error.subject, error.cause)


def flush_folder(path: str) -> None:
    """Flush a folder, so that the names in it survive a power failure.

    Raises:
        OSError: the disk refuses.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flush(fd)
    finally:
        os.close(fd)


def _default() -> str:
    xdg = os.environ.get("XDG_STATE_HOME", "")
    # Source: XDG Base Directory Specification: relative paths are invalid and ignored.
    return os.path.join(xdg if os.path.isabs(xdg) else os.path.join(_home(), ".local/state"), "bulkhaul")


def _home() -> str:
    """Return the user's home; where none is known, ``expanduser`` would return ``~`` itself, or the root.

    Raises:
        LocalError: neither the environment nor the system tells one.
    """
    home = os.environ.get("HOME", "")
    if not os.path.isabs(home):
        with contextlib.suppress(KeyError):  # a user without an entry, as containers have them
            home = pwd.getpwuid(os.getuid()).pw_dir
    if not os.path.isabs(home):
        raise LocalError(f"no home folder is known (HOME is not set, and the user has no entry); {_REMEDY}")
    return home


def _make(folder: str) -> None:
    above = os.path.dirname(folder)
    try:
        try:
            os.mkdir(folder, 0o700)
        except FileNotFoundError:
            if not os.path.isdir(above):  # else the file system itself refuses, as /proc does
                _make(above)
            os.mkdir(folder, 0o700)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        return
    flush_folder(above)
