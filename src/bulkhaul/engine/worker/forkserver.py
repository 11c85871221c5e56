"""The process that workers are forked from: it forks them when asked, reaps them, and reports each death.

It has one thread, no transfer, and every import done that a worker needs on the usual path. When the coordinator has
ended, for whatever reason, it kills and reaps every worker, stopped ones too, and ends.

    coordinator ──exec──▶ forkserver ──fork──▶ worker 1 … N
        ╰── pidfd of the coordinator, inherited by all ──╯
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

import msgspec

from bulkhaul.engine.messages.channel import MalformedFrame, close_all, receive_now, send_now
from bulkhaul.engine.messages.messages import Exited, Forked, NotForked, Prepare, ToForkserver

if TYPE_CHECKING:
    from bulkhaul.engine.worker.setup import Setup
    from bulkhaul.model.settings import Settings


COLLECT_EVERY = 20_000
"""New containers between two looks for garbage in a worker. A page of a listing makes 8,000 at once, none of them in a
cycle; with Python's 700 a tenth of its reading would be such looks."""


class Forkserver:
    """Forks workers, and ends after the last of them."""

    def __init__(self, control: socket.socket, coordinator_pidfd: int) -> None:
        self._control = control
        self._coordinator_pidfd = coordinator_pidfd
        self._setup: Setup | None = None
        self._workers: dict[int, tuple[int, int]] = {}  # pidfd of a worker → (its number, its pid)

    def serve(self) -> None:
        """Run until the coordinator is gone."""
        decoder = msgspec.msgpack.Decoder(ToForkserver)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._coordinator_pidfd, select.POLLIN)
        try:
            while True:
                for fd, _ in poll.poll():
                    if fd == self._coordinator_pidfd:
                        return
                    if fd == self._control.fileno():
                        received = receive_now(self._control, decoder)
                        if received is None:
                            return
                        message, descriptors = received
                        if isinstance(message, Prepare):
                            self._prepare(message.settings, given_keys=message.given_keys)
                        else:
                            self._fork(message.worker, descriptors, poll)
                    elif fd in self._workers:
                        poll.unregister(fd)
                        worker, status = self._reap(fd)
                        send_now(self._control, Exited(worker, status))
        except (OSError, MalformedFrame):
            return  # the coordinator has ended in the middle of a message
        finally:
            self._kill_all()

    def _prepare(self, settings: Settings, *, given_keys: bool) -> None:
        """Settle what every worker inherits. A boto3 client, if there must be one, has no socket and no thread yet."""
        from bulkhaul.engine.worker import process  # noqa: F401 - what every worker needs, before any is forked
        from bulkhaul.engine.worker.setup import Setup

        self._setup = Setup.prepare(settings, given_keys=given_keys)
        gc.freeze()  # a collection in a worker would write to every page, and so copy it

    def _fork(self, worker: int, descriptors: list[int], poll: select.poll) -> None:
        try:
            if len(descriptors) != 1:  # this process may open no more files
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            pid, pidfd = self._forked(descriptors[0])
        except OSError as error:
            send_now(self._control, NotForked(worker, error.errno or 0))
            return
        finally:
            close_all(descriptors)
        self._workers[pidfd] = (worker, pid)
        poll.register(pidfd, select.POLLIN)
        send_now(self._control, Forked(worker, pid), [pidfd])

    def _forked(self, channel_fd: int) -> tuple[int, int]:
        """Fork a worker and return its pid and pidfd.

        Raises:
            OSError: the limit of processes or of open files is reached; there is no such worker.
        """
        pid = os.fork()
        if pid == 0:
            self._become_worker(channel_fd)
        try:
            return pid, os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise

    def _become_worker(self, channel_fd: int) -> NoReturn:
        status = 1
        try:
            self._control.close()
            close_all(list(self._workers))
            gc.set_threshold(COLLECT_EVERY)
            gc.enable()
            from bulkhaul.engine.worker.process import run_worker

            assert self._setup is not None
            run_worker(socket.socket(fileno=channel_fd), self._coordinator_pidfd, self._setup)
            status = 0
        except BaseException:  # noqa: BLE001 - the forked process must not go on as a second forkserver
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def _reap(self, pidfd: int) -> tuple[int, int]:
        worker, pid = self._workers.pop(pidfd)
        _, status = os.waitpid(pid, 0)
        os.close(pidfd)
        return worker, os.waitstatus_to_exitcode(status)

    def _kill_all(self) -> None:
        for _, pid in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pidfd in list(self._workers):
            self._reap(pidfd)


def main(control_fd: int, coordinator_pidfd: int) -> None:
    """Entry of the process.

    Args:
        control_fd, coordinator_pidfd: inherited. Whatever else was is closed: a pipe, say, must end with its owner.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a terminal signals every process; the coordinator decides
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, the kernel reaps, and the status is lost
    _close_all_but(control_fd, coordinator_pidfd)
    import encodings.unicode_escape  # noqa: F401 - this and json each worker needs to hide its secrets: 4 ms
    import json  # noqa: F401

    import bulkhaul.engine.worker.process  # noqa: F401 - before the first worker is asked for

    with socket.socket(fileno=control_fd) as control:
        Forkserver(control, coordinator_pidfd).serve()
    os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Close every descriptor but the standard ones and these."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        numbers = list(range(os.sysconf("SC_OPEN_MAX")))
    close_all([number for number in numbers if number > 2 and number not in kept])
