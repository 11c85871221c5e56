"""Writes lines to a descriptor without ever blocking on it.

A reader that pauses (``| less``) would otherwise keep the main thread from seeing Ctrl-C and from serving the engine.
"""

from __future__ import annotations

import os
import select
import time

ATOMIC_BYTES = 4096
"""What a pipe that polls as writable takes at once. Source: PIPE_BUF (pipe(7)); one free page on Linux."""

FULL_BYTES = 64 * 1024
"""With so many bytes unwritten, the writer of lines should wait."""


class LineStream:
    """A descriptor, and the lines that are not yet written to it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._pending = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    @property
    def full(self) -> bool:
        """Whether the writer should wait before it adds lines."""
        return len(self._pending) >= FULL_BYTES

    def write(self, text: str | bytes) -> None:
        """Add lines, from any thread; the next flush writes them. What UTF-8 cannot encode is escaped."""
        self._pending += text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace")

    def flush(self, timeout_s: float) -> bool:
        """Write what can be written within the time; return False if something is left.

        Raises:
            BrokenPipeError: the reader has left.
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
