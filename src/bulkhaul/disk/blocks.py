"""Allocates the blocks of a file, and gives them back: fallocate(2), which Python has only with its fallback."""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Callable

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What a file system answers that has no such call."""

PUNCH_HOLE = 0x02 | 0x01
"""FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE. Source: include/uapi/linux/falloc.h."""


def fallocate(fd: int, mode: int, start: int, length: int) -> bool:
    """Allocate a range of a file, or do with it what ``mode`` says; False where that cannot be had.

    Raises:
        OSError: the disk is full, or fails.
    """
    call = _call()
    if call is None:
        return False
    while (number := call(fd, mode, start, length)) != 0:
        if number in UNSUPPORTED:
            return False
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))
    return True


@functools.cache
def _call() -> Callable[[int, int, int, int], int] | None:
    """Return the call, which answers 0 or an error number; None on a system without it."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "fallocate"):
        return None
    offset = ctypes.c_int64

    def call(fd: int, mode: int, start: int, length: int) -> int:
        return 0 if libc.fallocate(fd, mode, offset(start), offset(length)) == 0 else ctypes.get_errno()

    return call
