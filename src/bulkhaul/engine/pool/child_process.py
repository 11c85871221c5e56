"""A child process from its start until it is reaped, watched by its pidfd: no wait polls, and no wait outlasts it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading


class ChildProcess:
    """A child of this process. Threads may share it: one that forgets an engine ends what the engine's own thread ends.

    Attributes:
        pid: its process id.
    """

    def __init__(self, pid: int) -> None:
        """Watch a child that was just started; it is killed if that cannot be done.

        Raises:
            OSError: this process may open no more files.
        """
        self.pid = pid
        self._status: int | None = None
        self._changing = threading.RLock()  # a signal handler may wait, too
        self._waiting = 0
        try:
            self._pidfd = os.pidfd_open(pid)
        except OSError:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            raise

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal; it may be dead."""
        with self._changing:
            if self._status is None:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kill it; it may be dead."""
        self.send_signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Reap it if it is dead and return its exit status, negative for a signal; None while it lives."""
        return self.wait(0.0)

    def wait(self, timeout_s: float) -> int | None:
        """Wait until it is dead, reap it and return its exit status; None if it lives on."""
        with self._changing:
            if self._status is not None:
                return self._status
            self._waiting += 1
        dead = False
        try:
            ended = select.poll()
            ended.register(self._pidfd, select.POLLIN)
            dead = bool(ended.poll(timeout_s * 1000))
        finally:
            self._waited(dead=dead)
        return self._status

    def _waited(self, *, dead: bool) -> None:
        """Reap it if nobody did, and close its pidfd, once, when the last one has waited."""
        with self._changing:
            self._waiting -= 1
            if dead and self._status is None:
                self._status = self._reaped()
            if self._status is not None and not self._waiting and self._pidfd >= 0:
                pidfd, self._pidfd = self._pidfd, -1
                os.close(pidfd)

    def _reaped(self) -> int:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        except ChildProcessError:
            return 0  # whoever shares this process has reaped it, or ignores SIGCHLD: its status is lost
