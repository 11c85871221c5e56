"""Lands small objects below an open folder: one process writes a temp file, another one gives it its name.

    worker        is its name free? ─▶ create ─▶ write … ─▶ settle, [fsync], close      or discard
    coordinator   publish: still that file? ─▶ rename                                   or remove

Whether a name is free is looked at once, since each look at the file system costs as much as all else of a request.

Nobody holds these files open until they are published, so they are not locked as a ``Landing`` is: a run that sweeps
the same folder meanwhile may take one. It is then missed, and its object is fetched once more.
"""

from __future__ import annotations

import contextlib
import os

from bulkhaul.disk.landing import require_replaceable
from bulkhaul.disk.modes import set_access
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError

TOKEN_BYTES = 6
"""Random bytes of a batch, in the names of its temp files; the place of the object makes 16 digits of them."""

# Appended to: if another program cuts the file meanwhile, its length tells in the end.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def temp_of(token: str, row: int) -> str:
    """Return the name of the temp file of one object of a batch; ``disk.sweep`` knows it as one of ours.

    >>> temp_of("0123456789ab", 63)
    '..bulkhaul-0123456789ab003f.tmp'
    """
    return f"..bulkhaul-{token}{row:04x}.tmp"


class SmallFile:
    """The temp file of one small object, while it is written."""

    __slots__ = ("_fd", "_folder_fd", "_private", "_temp")

    def __init__(self, folder_fd: int, temp: str, name: str, mode: int) -> None:
        """Create it.

        Args:
            name: of the file that it becomes. If something has it already, the access of that decides in the end; empty
                where nothing can.
            mode: permission bits if nothing has.

        Raises:
            OSError: the folder refuses, or the name is taken.
        """
        self._folder_fd = folder_fd
        self._temp = temp
        self._private = bool(name) and os.access(name, os.F_OK, dir_fd=folder_fd)
        self._fd = os.open(temp, _FLAGS, 0o600 if self._private else mode, dir_fd=folder_fd)

    def write(self, data: memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: the disk is full, or fails.
        """
        while (written := os.write(self._fd, data)) < len(data):
            data = data[written:]

    def settle(self, mode: int, mtime_ns: int | None = None) -> tuple[int, int, bool]:
        """Make sure of its mode, which a umask or the folder may have cut, and of its modification time.

        Args:
            mtime_ns: None for that of the last write.

        Returns:
            Its inode, when it was changed last (ns), and whether only its owner may read it: something has its name.

        Raises:
            OSError: the file system refuses.
        """
        if mtime_ns is not None:
            os.utime(self._fd, ns=(mtime_ns, mtime_ns))
        found = os.fstat(self._fd)
        if not self._private and found.st_mode & 0o7777 != mode:
            os.fchmod(self._fd, mode)
            found = os.fstat(self._fd)
        return found.st_ino, found.st_ctime_ns, self._private

    def flush(self) -> None:
        """Flush its bytes; never tried twice, as a second try may succeed with the pages already dropped.

        Raises:
            OSError: the disk fails.
        """
        os.fsync(self._fd)

    def close(self) -> None:
        """Let go of it; the temp file stays. Safe to call twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """Let go of it, and remove it."""
        self.close()
        discard_temp(self._folder_fd, self._temp)


def discard_temp(folder_fd: int, temp: str) -> None:
    """Remove a temp file if it is there; one that cannot be removed is left to a later run."""
    with contextlib.suppress(OSError):
        os.unlink(temp, dir_fd=folder_fd)


def publish(
    folder_fd: int,
    name: str,
    path: str,
    temp: str,
    *,
    inode: int,
    changed_ns: int,
    size_bytes: int,
    private: bool,
    mode: int,
    inherits: bool,
    fsync: bool,
    kept_mode: int | None = None,
) -> None:
    """Give a temp file its name; until the rename the destination is untouched (I1).

    Args:
        path: the destination, for messages.
        inode, changed_ns, size_bytes: what the worker has written, and when. Nobody has it open, so its inode alone
            would not tell it from another file.
        private: it has not got its mode yet, as something had its name when the worker looked.
        mode: permission bits of a new file; one that replaces another keeps that one's.
        inherits: the folder may give its files an ACL.
        fsync: flush what is changed here; the folder is the caller's to flush.
        kept_mode: permission bits in any case; None where ``mode`` and ``private`` say them.

    Raises:
        LocalError: nothing was published; the temp file is gone.
    """
    try:
        _require_intact(folder_fd, temp, path, inode, changed_ns, size_bytes)
        if private:
            replaced = require_replaceable(name, path, folder_fd=folder_fd)
            _set_access(folder_fd, name, temp, mode, replaced, kept_mode, inherits=inherits, fsync=fsync)
        os.rename(temp, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except OSError as error:
        discard_temp(folder_fd, temp)
        raise local_error(error, path) from error
    except LocalError:
        discard_temp(folder_fd, temp)
        raise


def _require_intact(folder_fd: int, temp: str, path: str, inode: int, changed_ns: int, size_bytes: int) -> None:
    try:
        found = os.stat(temp, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError as error:
        raise LocalError("the temp file was removed during the transfer", path, str(error)) from error
    if found.st_size != size_bytes:
        text = f"the temp file has {found.st_size} bytes instead of {size_bytes}: another program changed it"
        raise LocalError(text, path)
    if found.st_ino != inode or found.st_ctime_ns != changed_ns:
        raise LocalError("the temp file was replaced or changed during the transfer", path)


def _set_access(
    folder_fd: int,
    name: str,
    temp: str,
    mode: int,
    replaced: os.stat_result | None,
    kept_mode: int | None,
    *,
    inherits: bool,
    fsync: bool,
) -> None:
    fd = os.open(temp, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder_fd)
    try:
        # Attributes are asked for by path only.
        set_access(fd, mode, replaced, f"/proc/self/fd/{folder_fd}/{name}", inherits=inherits)
        if kept_mode is not None:
            os.fchmod(fd, kept_mode)
        if fsync:
            os.fsync(fd)
    finally:
        os.close(fd)
