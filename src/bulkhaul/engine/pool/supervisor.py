"""Starts and kills worker processes, and tells when and how each has died.

Workers are forked by a forkserver that was started by exec, so nothing of the calling program (its threads, its
``__main__``) is in them. A worker's pidfd tells that it is dead, its forkserver tells how it died:

    pidfd readable ─▶ dead, and can write no more ─▶ Exited, or REAP_S without ─▶ on_lost
                                                               ╰─▶ the forkserver is stuck: another one
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

import msgspec

from bulkhaul.engine.messages.channel import END_OF_FILE, Channel, close_all, frame_of
from bulkhaul.engine.messages.messages import (
    Exited,
    Fork,
    Forked,
    FromForkserver,
    FromWorker,
    NotForked,
    Prepare,
)
from bulkhaul.engine.pool.forkserver_process import ForkserverProcess, pidfd_of_this_process, start_error
from bulkhaul.engine.pool.worker_process import WorkerProcess, death
from bulkhaul.model.errors import OtherError, TransferError
from bulkhaul.model.limits import DEFAULT_LIMITS
from bulkhaul.model.settings import Settings

MAX_RESTARTS = 3
"""Forkservers that may die one after the other: if so many do, a new one would die as well."""

LONG_LIFE_S = 60.0
"""A forkserver that lived for so long is not counted among them."""

REAP_S = 1.0
"""How long a forkserver may take to report that a dead worker is reaped."""

LOOKS = 4
"""In how many steps: a pause of this process ends one step only, so a report that has come meanwhile is still read."""

SPAWN_PAUSE_S = 0.5
"""How long a worker that could not be started counts as starting: the next one would meet the same shortage."""

POLLS_S = (0.0005, 0.01)
"""The shortest and the longest time between two looks whether killed processes are dead: most are within 2 ms."""

ORPHANED = "the end of its forkserver"


class Supervisor:
    """The worker processes of one engine."""

    def __init__(
        self,
        forkserver: ForkserverProcess | None,
        settings: Settings,
        on_message: Callable[[int, FromWorker], None],
        on_lost: Callable[[int, str, bool], None],
        guard: Callable[[Callable[..., object]], Callable[..., object]],
        *,
        given_keys: bool = False,
    ) -> None:
        """Take over a forkserver, or without one start it for the first worker.

        Args:
            settings: tell workers how to speak to the service.
            given_keys: the coordinator gives workers their keys.
            on_message: called with (worker, message).
            on_lost: called once a worker is dead, with (worker, how it died, whether it died of its forkserver's
                death and not of anything that it did).
            guard: wraps what the loop calls.

        Raises:
            Unsupported: this platform can run no workers.
            TransferError: the settings cannot be passed on.
        """
        self._forkserver: ForkserverProcess | None = None
        # No worker needs these two, and not every value of theirs can be sent: bytes of a name, numbers beyond 64 bits.
        self._environment = dict(os.environ)  # of now: a program may change it before the first worker is needed
        self._prepare = Prepare(msgspec.structs.replace(settings, state_dir=None, limits=DEFAULT_LIMITS), given_keys)
        self._on_message = on_message
        self._on_lost = on_lost
        self._guard = guard
        self._closed = False
        self._workers: dict[int, WorkerProcess] = {}
        self._next = 1
        self._used = 0  # forkservers, one after the other
        self._started_s = 0.0
        self._loop = asyncio.get_running_loop()
        self._control: Channel[FromForkserver] | None = None
        try:
            frame_of(self._prepare)
            if forkserver is None:
                os.close(pidfd_of_this_process())
            else:
                self._listen(forkserver)
        except BaseException:
            if forkserver is not None:
                forkserver.close()
            raise

    @property
    def pids(self) -> dict[int, int]:
        """Return worker → pid of the workers that are known to run."""
        return {number: worker.pid for number, worker in self._workers.items() if worker.pid}

    def spawn(self) -> int:
        """Start a worker and return its number; ``on_lost`` tells, later, if it cannot be started."""
        number, self._next = self._next, self._next + 1
        if self._closed:
            return number
        worker = self._workers[number] = WorkerProcess()
        try:
            self._ask_for(number, worker)
        except TransferError as error:
            self._cannot_start(number, error)
        except OSError as error:
            self._cannot_start(number, start_error(error))
        return number

    def _ask_for(self, number: int, worker: WorkerProcess) -> None:
        """Have a worker forked.

        Raises:
            TransferError: there is no forkserver, and no other one can be had.
            OSError: there are no descriptors for it.
        """
        if self._control is None:
            self._start()
        assert self._control is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                worker.channel = Channel(
                    ours,
                    FromWorker,
                    on_message=lambda message, fds: self._came(number, message, fds),
                    on_closed=lambda reason: self._fell_silent(number, reason),
                    guard=self._guard,
                )
            except BaseException:
                ours.close()
                raise
            self._control.send(Fork(number), [theirs.fileno()])

    def _start(self) -> None:
        """Start a forkserver, the first one or another one.

        Raises:
            TransferError: too many were lost, or the operating system starts none.
        """
        if self._used > MAX_RESTARTS:
            raise OtherError(f"the end of {MAX_RESTARTS + 1} forkservers, one after the other")
        forkserver = ForkserverProcess(self._environment)
        try:
            self._listen(forkserver)
        except BaseException:
            forkserver.close()
            raise

    def _cannot_start(self, number: int, error: TransferError) -> None:
        """Count a worker that could not be started as lost, after a pause."""
        if (worker := self._workers.get(number)) is not None:
            if worker.channel is not None:
                worker.channel.close()
            worker.hindrance = f"a start that failed: {error.message}"
            self._loop.call_later(SPAWN_PAUSE_S, self._guard(self._lost), number, worker.hindrance)

    def send(self, number: int, message: object, descriptors: list[int] | None = None) -> None:
        """Send a message to a worker; one to a worker that is gone is dropped.

        Raises:
            TransferError: it cannot be sent; see ``Channel.send``.
        """
        worker = self._workers.get(number)
        if worker is not None and worker.channel is not None:
            worker.channel.send(message, descriptors or ())

    def tell(self, number: int, message: object) -> None:
        """Send a message that a worker must have; if it cannot be sent, the worker is killed."""
        try:
            self.send(number, message)
        except TransferError as error:
            self.kill(number, f"a message that could not be sent: {error.message}")

    def tell_all(self, message: object) -> None:
        """Send a message that every worker must have."""
        for number in list(self._workers):
            self.tell(number, message)

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
            worker.kill()
        elif unborn and self._forkserver is not None:
            self._forkserver.process.kill()  # its loss ends this worker

    def kill_all(self) -> None:
        """Kill every worker at once; a forkserver that does not report their ends in time is killed as well."""
        self._loop.call_later(REAP_S, self._guard(self._kill_forkserver_if_needed))
        for number in list(self._workers):
            self.kill(number, "the engine stops")

    def _kill_forkserver_if_needed(self) -> None:
        if self._workers and self._forkserver is not None:
            self._forkserver.process.kill()

    def drop(self) -> None:
        """End the forkserver, which kills and reaps its workers first; no event loop is needed, and nobody is told.

        Descriptors that the loop listens to stay open as long as it has not ended: ``end`` closes them there.
        """
        self._closed = True
        if self._forkserver is not None:
            self._forkserver.end()
            if self._loop.is_closed():
                self._forkserver.close()

    async def end(self, reap_s: float, timeout_s: float) -> None:
        """Kill every worker and end the forkserver, and return when nothing of them is left; nobody is told.

        Workers hold nothing that must be saved, and one that is starting is not waited for. It relies on no callback:
        one of them may be what has failed.

        Args:
            reap_s: how long the forkserver may take to reap them, then it is killed as well.
            timeout_s: how long to wait for a worker that hangs in the kernel.
        """
        self._closed = True
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            worker.begin_end(self._loop)
        if self._control is not None:
            self._control.close()
            self._control = None
        forkserver, self._forkserver = self._forkserver, None
        if forkserver is not None:
            forkserver.hang_up()
            await self._poll(lambda: forkserver.process.poll() is not None, reap_s)
            forkserver.process.kill()
        await self._poll(lambda: all(worker.looks_dead() for worker in workers), timeout_s)
        if forkserver is not None:
            forkserver.close()
        for worker in workers:
            worker.close(self._loop)

    async def _poll(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Wait until a condition holds, which is nearly at once, or the time is over."""
        deadline_s, pause_s = self._loop.time() + timeout_s, POLLS_S[0]
        while not condition() and self._loop.time() < deadline_s:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, POLLS_S[1])

    def _listen(self, forkserver: ForkserverProcess) -> None:
        """Take a forkserver into use.

        Raises:
            TransferError: it cannot be told the settings.
        """

        def ended(_reason: str) -> None:
            # Not at once: it may be noticed while an instruction is performed, and workers must not be lost there.
            self._loop.call_soon(self._guard(self._forkserver_lost), control)

        control: Channel[FromForkserver] = Channel(
            forkserver.control,
            FromForkserver,
            on_message=self._forkserver_says,
            on_closed=ended,
            guard=self._guard,
        )
        try:
            control.send(self._prepare)
        except BaseException:
            control.close()
            raise
        self._forkserver, self._control, self._started_s = forkserver, control, self._loop.time()
        self._used += 1

    def _came(self, number: int, message: FromWorker, descriptors: list[int]) -> None:
        close_all(descriptors)
        worker = self._workers[number]
        if worker.pidfd < 0:
            worker.early.append(message)  # without its pidfd its death could not be seen, so it gets no work yet
        else:
            self._on_message(number, message)

    def _fell_silent(self, number: int, reason: str) -> None:
        self.kill(number, "" if reason == END_OF_FILE else f"a bad message: {reason}")

    def _forkserver_says(self, message: FromForkserver, descriptors: list[int]) -> None:
        if self._forkserver is not None:
            self._forkserver.serves = True
        match message:
            case Exited():
                close_all(descriptors)
                self._lost(message.worker, death(message.status))
            case NotForked():
                close_all(descriptors)
                self._cannot_start(message.worker, start_error(OSError(message.errno, "")))
            case Forked():
                self._forked(message, descriptors)

    def _forked(self, message: Forked, descriptors: list[int]) -> None:
        worker = self._workers.get(message.worker)
        if worker is None or len(descriptors) != 1:
            close_all(descriptors)
            if worker is not None and worker.channel is not None:
                # The kernel had no room for its pidfd. It ends when it sees its channel closed.
                worker.channel.close()
                worker.hindrance = f"a start that failed: {start_error(OSError(errno.EMFILE, '')).message}"
            return
        worker.pid, worker.pidfd = message.pid, descriptors[0]
        self._loop.add_reader(worker.pidfd, self._guard(self._died), message.worker)
        if worker.kill_reason:
            self.kill(message.worker, worker.kill_reason)
        early, worker.early = worker.early, []
        for said in early:
            self._on_message(message.worker, said)

    def _died(self, number: int) -> None:
        """The pidfd says that a worker is dead: none of its threads runs, so it can write no more."""
        worker = self._workers.get(number)
        if worker is None or worker.dead:
            return
        worker.dead = True
        self._loop.remove_reader(worker.pidfd)
        if worker.orphaned or self._control is None:
            self._lost(number, ORPHANED)
        else:
            self._await_report(number, LOOKS)

    def _await_report(self, number: int, looks: int) -> None:
        """Wait for the forkserver to say how a worker died; if it does not, it is stuck and must go."""
        if number not in self._workers:
            return
        if looks:
            self._loop.call_later(REAP_S / LOOKS, self._guard(self._await_report), number, looks - 1)
        elif self._control is not None:
            self._forkserver_lost(self._control)

    def _forkserver_lost(self, control: Channel[FromForkserver]) -> None:
        """Kill all workers, since none can be reaped without the forkserver; their pidfds tell when they are dead.

        The next worker that is asked for starts another forkserver.
        """
        if control is not self._control:
            return
        self._control = None
        control.close()
        if self._forkserver is not None:
            self._forkserver.process.kill()
            self._forkserver.close()
            self._forkserver = None
        if self._loop.time() - self._started_s > LONG_LIFE_S:
            self._used = 1
        for number, worker in list(self._workers.items()):
            if worker.pidfd < 0:
                self._lost(number, ORPHANED, orphaned=not worker.hindrance)
            elif worker.dead:
                self._lost(number, "an unknown cause, since its forkserver is gone")
            else:
                worker.orphaned = not worker.kill_reason
                self.kill(number, ORPHANED)

    def _lost(self, number: int, how: str, *, orphaned: bool = False) -> None:
        worker = self._workers.pop(number, None)
        if worker is not None:
            reason = worker.hindrance or how
            if worker.kill_reason and not worker.orphaned:
                reason = f"being killed for {worker.kill_reason}"
            worker.close(self._loop)
            self._on_lost(number, reason, worker.orphaned or orphaned)
