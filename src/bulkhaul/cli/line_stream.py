"""Writes lines to a descriptor without ever blocking on it; it must not know what they say.

A reader that pauses (``| less``) must not keep us from hearing Ctrl-C, nor the engine from being served.
"""

from __future__ import annotations

import os
import select
import time

ATOMIC_BYTES = 4096
"""What a pipe that polls as writable takes at once. Source: PIPE_BUF (pipe(7)); one free page on Linux."""

FULL_BYTES = 64 * 1024
"""With so much unwritten, whoever makes lines should wait."""


class LineStream:
    """Lines on their way to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    @property
    def full(self) -> bool:
        """Whether more lines should wait."""
        return len(self._pending) >= FULL_BYTES

    def write(self, text: str) -> None:
        """Take lines, from any thread; they leave with the next flush. What UTF-8 cannot hold is escaped."""
        self._pending += text.encode("utf-8", "backslashreplace")

    def flush(self, timeout_s: float) -> bool:
        """Write what can be written within the time; False if something is left.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: the disk behind it is full, or gone.
        """
        deadline_s = time.monotonic() + timeout_s
        while self._pending:
            wait_s = max(0.0, deadline_s - time.monotonic())
            if not self._poll.poll(wait_s * 1000):
                return False
            written = os.write(self._fd, self._pending[:ATOMIC_BYTES])
            del self._pending[:written]
        return True
