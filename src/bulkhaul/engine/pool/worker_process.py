"""One worker process as its supervisor holds it: the channel to it, its pidfd, and how it died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import socket

import msgspec

from bulkhaul.engine.messages.channel import Channel
from bulkhaul.engine.messages.messages import EXIT_SHORTAGE, FromWorker


class WorkerProcess(msgspec.Struct):
    """A worker from the moment that it is asked for until it is dead.

    Attributes:
        pidfd: -1 until its forkserver has told of it.
        early: what the worker said before that.
        dead: its pidfd says so.
        orphaned: it was well when its forkserver died.
        hindrance: why it could not be used, if that is known better than how it died.
        parting: our end of its channel, once nothing is listened to any more.
    """

    channel: Channel[FromWorker] | None = None
    pid: int = 0
    pidfd: int = -1
    early: list[FromWorker] = msgspec.field(default_factory=list)
    kill_reason: str = ""
    dead: bool = False
    orphaned: bool = False
    hindrance: str = ""
    parting: socket.socket | None = None

    def kill(self) -> None:
        """Kill it; it must have a pidfd."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def begin_end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Listen no more, and kill it; one that is not known to run yet ends when it sees its channel closed."""
        if self.channel is not None and not self.channel.closed:
            self.parting = self.channel.let_go()
            with contextlib.suppress(OSError):  # it is gone
                self.parting.shutdown(socket.SHUT_WR)
        if self.pidfd >= 0:
            loop.remove_reader(self.pidfd)
            self.kill()

    def looks_dead(self) -> bool:
        """Ask the kernel whether it is dead, after ``begin_end``.

        Without a pidfd it is if nobody holds the other end of its channel: it, its forkserver, or a message to that.
        """
        watched: socket.socket | int | None = self.pidfd if self.pidfd >= 0 else self.parting
        if watched is None:
            return True
        poll = select.poll()
        poll.register(watched, select.POLLIN if watched is not self.parting else select.POLLHUP)
        return bool(poll.poll(0))

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the channel to it and its pidfd."""
        if self.parting is not None:
            self.parting.close()
        elif self.channel is not None:
            self.channel.close()
        if self.pidfd >= 0:
            loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1


def death(status: int) -> str:
    """Say how a process died, for people."""
    if status == EXIT_SHORTAGE:
        return "a lack of threads or descriptors; raise the limits (ulimit -u, ulimit -n), or lower --concurrency"
    if status >= 0:
        return f"exit with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hints = {"SIGKILL": " (perhaps out of memory)", "SIGBUS": " (a disk error or a truncated file)"}
    return name + hints.get(name, "")
