"""One worker process as its supervisor holds it: the channel to it, its pidfd, and how it died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal

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
    """

    channel: Channel[FromWorker] | None = None
    pid: int = 0
    pidfd: int = -1
    early: list[FromWorker] = msgspec.field(default_factory=list)
    kill_reason: str = ""
    dead: bool = False
    orphaned: bool = False
    hindrance: str = ""

    def kill(self) -> None:
        """Kill it; it must have a pidfd."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def looks_dead(self) -> bool:
        """Ask the kernel whether it is dead; without a pidfd it counts as dead."""
        if self.pidfd < 0:
            return True
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the channel to it and its pidfd."""
        if self.channel is not None:
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
