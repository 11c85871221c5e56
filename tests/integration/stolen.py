"""Takes a descriptor out of another process: how a test speaks with the voice of a worker.

Job: duplicate a worker's end of its channel (pidfd_getfd, Linux 5.6). Must not know what is said.
"""

from __future__ import annotations

import ctypes
import os
import socket

_PIDFD_GETFD = 438
"""Number of the system call on every architecture. Source: include/uapi/asm-generic/unistd.h."""


def channel_of(pid: int) -> socket.socket:
    """Return the end of the channel that a worker speaks into.

    Raises:
        AssertionError: the process has no such socket.
    """
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                continue
            taken = socket.socket(fileno=_take(pidfd, int(name)))
            if taken.type == socket.SOCK_SEQPACKET:
                return taken
            taken.close()
    finally:
        os.close(pidfd)
    raise AssertionError(f"process {pid} has no channel")


def _take(pidfd: int, descriptor: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    taken = libc.syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
    if taken < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(taken)
