"""Knows files of interrupted downloads by their names, and opens a temp file that still is the one that was left."""

from __future__ import annotations

import errno
import os
import re
import stat
import time

from bulkhaul.disk.locks import take_lock
from bulkhaul.disk.oserrors import local_error
from bulkhaul.model.errors import LocalError

TEMP_NAME = re.compile(r"\.(?P<name>.*)\.bulkhaul-[0-9a-f]{16}\.tmp", re.DOTALL)
"""What our temp files are called, and nothing else is likely to be."""

JOURNAL_NAME = re.compile(r"\.bulkhaul-[0-9a-f]{32}\.journal")
"""What journals of downloads are called; the digits stand for the name of the destination."""

LET_GO_S = 2.0
"""How long a temp file is waited for whose coordinator was killed: its workers end within milliseconds of that."""


def is_ours(name: str) -> bool:
    """Whether a file name is that of a temp file or of the journal of a download: neither is anybody's data.

    >>> is_ours(".a.bulkhaul-0123456789abcdef.tmp"), is_ours(".bulkhaul-0123456789abcdef0123456789abcdef.journal")
    (True, True)
    >>> is_ours("a.tmp"), is_ours("0123456789abcdef.journal")
    (False, False)
    """
    return ".bulkhaul-" in name and bool(TEMP_NAME.fullmatch(name) or JOURNAL_NAME.fullmatch(name))


def open_left(folder_fd: int, temp: str, path: str, size_bytes: int, *, inode: int, device: int | None) -> int:
    """Open a temp file, become its owner, and return its descriptor.

    Args:
        path: the destination, for messages.
        device: None where it may be another one by now.

    Raises:
        LocalError: it is gone, another file, of another length, or in use; the message says which.
    """
    if "/" in temp or not TEMP_NAME.fullmatch(temp):
        raise LocalError("what the journal names is no temp file", path)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(temp, flags, dir_fd=folder_fd)
    except OSError as error:
        raise LocalError("the temp file is gone", path, errno.errorcode.get(error.errno or 0, "")) from error
    ours = False
    try:
        _require_same(os.fstat(fd), path, size_bytes, inode, device)
        deadline_s = time.monotonic() + LET_GO_S
        while not take_lock(fd):
            if time.monotonic() >= deadline_s:
                raise LocalError("the temp file is in use", path)
            time.sleep(LET_GO_S / 100)
        os.fchmod(fd, 0o600)
        ours = True
    except OSError as error:
        raise local_error(error, path) from error
    finally:
        if not ours:
            os.close(fd)
    return fd


def _require_same(found: os.stat_result, path: str, size_bytes: int, inode: int, device: int | None) -> None:
    regular = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
    if not regular or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LocalError("the temp file is not this user's own", path)
    if found.st_ino != inode or device not in (None, found.st_dev):
        raise LocalError("the temp file was replaced", path)
    if found.st_size != size_bytes:
        raise LocalError(f"the temp file has {found.st_size} bytes instead of {size_bytes}", path)
