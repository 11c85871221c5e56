"""Starts, kills and reaps worker processes for the coordinator; it must not know what they work on.

Workers are forked by a forkserver that was started by exec, so nothing of the calling program (its threads, its
``__main__``) is in them. A death is seen at once through the worker's pidfd; it counts when the forkserver has
reaped it, or when the forkserver is gone and the pidfd says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable

import msgspec

from bulkhaul.engine.boot import ForkserverProcess
from bulkhaul.engine.channel import END_OF_FILE, Channel, close_all
from bulkhaul.engine.protocol import Exited, Fork, FromForkserver, FromWorker, Prepare
from bulkhaul.wire.values import WireSettings

MAX_RESTARTS = 3
"""Forkservers that may be lost: one that dies again and again has a reason that a new one will not change."""


REAP_S = 1.0
"""How long a forkserver may take to report that killed workers are reaped."""


class WorkerProcess(msgspec.Struct):
    """One worker as its supervisor sees it."""

    channel: Channel[FromWorker] | None = None
    pid: int = 0
    pidfd: int = -1
    kill_reason: str = ""


class Supervisor:
    """The worker processes of one engine."""

    def __init__(
        self,
        forkserver: ForkserverProcess,
        wire: WireSettings,
        *,
        on_message: Callable[[int, FromWorker], None],
        on_lost: Callable[[int, str], None],
    ) -> None:
        """Take over a forkserver.

        Args:
            wire: how workers will speak to the service.
            on_message: called with (worker, message).
            on_lost: called once a worker is dead and reaped, with (worker, how it died).
        """
        self._forkserver = forkserver
        self._wire = wire
        self._on_message = on_message
        self._on_lost = on_lost
        self._workers: dict[int, WorkerProcess] = {}
        self._next = 1
        self._restarts = 0
        self._all_gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._control: Channel[FromForkserver] = self._listen(forkserver.control)

    @property
    def pids(self) -> dict[int, int]:
        """Return worker → pid of the workers that are known to run."""
        return {number: worker.pid for number, worker in self._workers.items() if worker.pid}

    def spawn(self) -> int:
        """Start a worker and return its number."""
        number, self._next = self._next, self._next + 1
        worker = self._workers[number] = WorkerProcess()
        if self._restarts > MAX_RESTARTS:
            self._loop.call_soon(self._lost, number, "the end of every forkserver")
            return number
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        worker.channel = Channel(
            ours,
            FromWorker,
            on_message=lambda message, fds: self._came(number, message, fds),
            on_closed=lambda reason: self.kill(number, "" if reason == END_OF_FILE else f"a bad message: {reason}"),
        )
        try:
            self._control.send(Fork(number), [theirs.fileno()])
        finally:
            theirs.close()
        return number

    def send(self, number: int, message: object, descriptors: list[int] | None = None) -> None:
        """Send a message to a worker; one to a worker that is gone is dropped."""
        worker = self._workers.get(number)
        if worker is not None and worker.channel is not None:
            worker.channel.send(message, descriptors or ())

    def kill(self, number: int, reason: str, *, unborn: bool = False) -> None:
        """Kill a worker; ``on_lost`` follows when it is reaped.

        Args:
            unborn: if it was not even forked yet, its forkserver is stuck: kill that one.
        """
        worker = self._workers.get(number)
        if worker is None:
            return
        worker.kill_reason = worker.kill_reason or reason
        if worker.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker.pidfd, signal.SIGKILL)
        elif unborn:
            self._forkserver.process.kill()  # its loss is the news that ends this worker

    def kill_all(self) -> None:
        """Kill every worker at once; a forkserver that does not report their ends in time is killed as well."""
        self._loop.call_later(REAP_S, self._kill_forkserver_if_needed)
        for number in list(self._workers):
            self.kill(number, "the engine stops")

    def _kill_forkserver_if_needed(self) -> None:
        if self._workers and self._forkserver.process.poll() is None:
            self._forkserver.process.kill()

    async def wait_all_gone(self, timeout_s: float) -> bool:
        """Wait until no worker is left; False if some still are."""
        self._all_gone.clear()
        if not self._workers:
            return True
        try:
            await asyncio.wait_for(self._all_gone.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """End the forkserver, which kills and reaps whatever worker is left."""
        self._control.close()
        self._forkserver.close()
        for worker in self._workers.values():
            self._forget(worker)
        self._workers.clear()

    def _listen(self, control: socket.socket) -> Channel[FromForkserver]:
        channel: Channel[FromForkserver] = Channel(
            control, FromForkserver, on_message=self._forkserver_says, on_closed=self._forkserver_lost
        )
        channel.send(Prepare(self._wire))
        return channel

    def _came(self, number: int, message: FromWorker, descriptors: list[int]) -> None:
        close_all(descriptors)
        self._on_message(number, message)

    def _forkserver_says(self, message: FromForkserver, descriptors: list[int]) -> None:
        worker = self._workers.get(message.worker)
        if isinstance(message, Exited):
            close_all(descriptors)
            self._lost(message.worker, _death(message.status))
        elif worker is None or len(descriptors) != 1:
            close_all(descriptors)
        else:
            worker.pid, worker.pidfd = message.pid, descriptors[0]
            if worker.kill_reason:
                self.kill(message.worker, worker.kill_reason)

    def _forkserver_lost(self, _reason: str) -> None:
        """Without a forkserver nobody reports exits: kill all, see them die by their pidfds, and start another one."""
        self._forkserver.close()
        self._restarts += 1
        if self._restarts <= MAX_RESTARTS:
            self._forkserver = ForkserverProcess()
            self._control = self._listen(self._forkserver.control)
        for number, worker in list(self._workers.items()):
            if worker.pidfd < 0:
                self._lost(number, "the end of its forkserver")
            else:
                self.kill(number, "the end of its forkserver")
                self._loop.add_reader(worker.pidfd, self._lost, number, "the end of its forkserver")

    def _lost(self, number: int, how: str) -> None:
        worker = self._workers.pop(number, None)
        if worker is not None:
            reason = f"being killed for {worker.kill_reason}" if worker.kill_reason else how
            self._forget(worker)
            if not self._workers:
                self._all_gone.set()
            self._on_lost(number, reason)

    def _forget(self, worker: WorkerProcess) -> None:
        if worker.channel is not None:
            worker.channel.close()
        if worker.pidfd >= 0:
            self._loop.remove_reader(worker.pidfd)
            os.close(worker.pidfd)
            worker.pidfd = -1


def _death(status: int) -> str:
    """Say how a process died, for people."""
    if status >= 0:
        return f"exit with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hints = {"SIGKILL": " (perhaps out of memory)", "SIGBUS": " (a disk error or a truncated file)"}
    return name + hints.get(name, "")


__all__ = ["ForkserverProcess", "Supervisor", "WorkerProcess"]
