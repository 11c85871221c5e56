"""Starts the forkserver, by exec or by a fork, and ends it.

A program is never forked: its threads and locks would be copied. The command forks itself, before it has any.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import signal
import socket
import sys

from bulkhaul.engine.pool.child_process import ChildProcess

TYPE_CHECKING = False  # typing's: importing that would take longer than this module does

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn

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

    def __init__(self, environment: Mapping[str, str] | None = None, *, fork: bool = False) -> None:
        """Start it.

        Args:
            environment: its environment variables; None for those of this process.
            fork: fork this process instead of starting an interpreter. It must have one thread and no event loop, and
                hold nothing that may not be copied.
        """
        self.serves = False
        try:
            if fork:
                self.control, self.process = _started(_forked)
            else:
                variables = os.environ if environment is None else environment
                self.control, self.process = _started(lambda theirs, pidfd: _spawned(theirs, pidfd, variables))
        except OSError as error:
            raise start_error(error) from error

    def close(self) -> None:
        """End it and reap it. Safe to call twice.

        While it serves, it kills and reaps its workers first. Before that it has none, and nobody waits for its
        imports; one that it may just have forked ends because its channel is closed.
        """
        self.end()
        self.control.close()

    def end(self) -> None:
        """Like ``close``, but our end of the channel stays open, since an event loop may listen to it."""
        self._say_end()
        if self.process.wait(END_S) is None:
            self.process.kill()
            self.process.wait(END_S)

    def hang_up(self) -> None:
        """Have it end, without waiting for that. Safe to call twice."""
        self._say_end()
        self.control.close()

    def _say_end(self) -> None:
        if not self.serves:
            self.process.kill()
        with contextlib.suppress(OSError):  # it is closed, or the forkserver is gone
            self.control.shutdown(socket.SHUT_RDWR)  # a child of the caller's may hold a copy of our end


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


def _started(start: Callable[[int, int], int]) -> tuple[socket.socket, ChildProcess]:
    """Start the process and return our end of the channel to it; nothing is left open when it cannot be done.

    Args:
        start: starts it with its end of the channel and a pidfd of this process, and returns its pid.

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
        process = ChildProcess(start(theirs.fileno(), pidfd))
        kept.pop_all()
    return control, process


def _spawned(theirs: int, pidfd: int, environment: Mapping[str, str]) -> int:
    # Copies, since only they outlive exec, under numbers that hold nothing which is copied later. Whatever else has
    # these numbers here, the forkserver would close it anyway.
    first = next(number for number in range(3, 6) if number not in (theirs, pidfd))
    second = next(number for number in range(3, 6) if number not in (first, pidfd))
    boot = _BOOT.format(path=sys.path, control=first, pidfd=second, ours=tuple(map(int, OURS)))
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", boot],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs, first),
            (os.POSIX_SPAWN_DUP2, pidfd, second),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),  # a pipe on our stdout must end with us
        ],
        setsigmask=OURS,
    )


def _forked(theirs: int, pidfd: int) -> int:
    import threading

    import uvloop  # noqa: F401 - this and the next are what this process and the forkserver both need

    import bulkhaul.engine.messages.channel
    import bulkhaul.engine.messages.messages
    import bulkhaul.engine.messages.requests  # noqa: F401

    assert threading.active_count() == 1, "locks that other threads hold would stay locked in the child"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
    try:
        pid = os.fork()
        if pid == 0:
            _become_forkserver(theirs, pidfd)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def _become_forkserver(theirs: int, pidfd: int) -> NoReturn:
    """Go on as the forkserver; nothing of what the command would have done at its end is done here."""
    try:
        for number in OURS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        for standard, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY)):
            null = os.open(os.devnull, flags)
            os.dup2(null, standard)  # a pipe on our stdout must end with us
            os.close(null)
        # By name, as in what exec runs: the coordinator must not import what workers do.
        importlib.import_module("bulkhaul.engine.worker.forkserver").main(theirs, pidfd)
    except BaseException:  # noqa: BLE001 - the forked process must not go on as a second command
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


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
