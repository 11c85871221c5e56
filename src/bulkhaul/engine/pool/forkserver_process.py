"""Starts the forkserver by exec and ends it; imports next to nothing itself."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import sys

from bulkhaul.engine.pool.child_process import ChildProcess

TYPE_CHECKING = False  # typing's: importing that would take longer than this module does

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bulkhaul.model.errors import OtherError

OURS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals that a terminal sends to every process of a command; only the coordinator acts on them."""

END_S = 1.0
"""How long it may take to kill and reap its workers and to end; then it is killed as well."""

# It begins with these signals blocked, or one that comes during its imports would end it with a traceback.
# Imports leave hardly any garbage: without collections the start takes a quarter less.
_BOOT = (
    "import gc, sys, _signal; [_signal.signal(number, _signal.SIG_IGN) for number in {ours}];"
    " _signal.pthread_sigmask(_signal.SIG_UNBLOCK, {ours}); gc.disable(); sys.path[:] = {path!r};"
    " from bulkhaul.engine.worker.forkserver import main; main({control}, {pidfd})"
)


class ForkserverProcess:
    """The forkserver, started; ``Supervisor`` speaks with it.

    Attributes:
        control: our end of the channel to it.
        serves: it has spoken, so its imports are done.

    Raises:
        Unsupported: the platform has no pidfd (Linux 5.3 or newer is needed).
        OtherError: the operating system starts no more processes, or opens no more files.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it.

        Args:
            environment: its environment variables; None for those of this process.
        """
        self.serves = False
        try:
            self.control, self.process = _started(os.environ if environment is None else environment)
        except OSError as error:
            raise start_error(error) from error

    def close(self) -> None:
        """End it and reap it. Safe to call twice.

        While it serves, it kills and reaps its workers first. Before that it has none, and nobody waits for its
        imports; one that it may just have forked ends because its channel is closed.
        """
        self.hang_up()
        if self.process.wait(END_S) is None:
            self.process.kill()
            self.process.wait(END_S)

    def hang_up(self) -> None:
        """Have it end, without waiting for that. Safe to call twice."""
        if not self.serves:
            self.process.kill()
        with contextlib.suppress(OSError):  # it is closed, or the forkserver is gone
            self.control.shutdown(socket.SHUT_RDWR)  # a child of the caller's may hold a copy of our end
        self.control.close()


def start_error(error: OSError) -> OtherError:
    """Return the typed error of a process that the operating system did not start, with what can be done."""
    from bulkhaul.model.errors import OtherError

    name = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return OtherError(_REMEDIES.get(error.errno or 0, "the worker processes cannot be started"), cause=name)


_REMEDIES = {
    errno.EMFILE: "too many open files to start worker processes; raise the limit (ulimit -n), or lower --workers",
    errno.ENFILE: "this machine has too many open files to start worker processes; close some programs",
    errno.EAGAIN: "no more processes or threads can be started; raise the limit (ulimit -u), or lower --workers",
    errno.ENOMEM: "too little memory to start worker processes; free some, or lower --workers",
}


def _started(environment: Mapping[str, str]) -> tuple[socket.socket, ChildProcess]:
    """Start the process and return our end of the channel to it; nothing is left open when it cannot be done.

    Raises:
        OSError: the operating system starts no more processes, or opens no more files.
        Unsupported: it has no pidfd.
    """
    with contextlib.ExitStack() as given, contextlib.ExitStack() as kept:
        pidfd = pidfd_of_this_process()
        given.callback(os.close, pidfd)
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given.callback(theirs.close)
        kept.callback(control.close)
        # Copies, since only they outlive exec, under numbers that hold nothing which is copied later. Whatever else has
        # these numbers here, the forkserver would close it anyway.
        first = next(number for number in range(3, 6) if number not in (theirs.fileno(), pidfd))
        second = next(number for number in range(3, 6) if number not in (first, pidfd))
        boot = _BOOT.format(path=sys.path, control=first, pidfd=second, ours=tuple(map(int, OURS)))
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", boot],
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, theirs.fileno(), first),
                (os.POSIX_SPAWN_DUP2, pidfd, second),
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),  # a pipe on our stdout must end with us
            ],
            setsigmask=OURS,
        )
        process = ChildProcess(pid)
        kept.pop_all()
    return control, process


def pidfd_of_this_process() -> int:
    """Return a descriptor by which others see that this process has ended.

    Raises:
        Unsupported: the platform has none (Linux 5.3 or newer is needed).
        OSError: this process may open no more files.
    """
    try:
        return os.pidfd_open(os.getpid())
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            raise
        from bulkhaul.model.errors import Unsupported

        raise Unsupported("worker processes need Linux 5.3 or newer (pidfd)", cause=str(error)) from error
