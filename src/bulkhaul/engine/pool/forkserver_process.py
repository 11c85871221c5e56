"""Starts the forkserver by exec; imports next to nothing itself, so that a program can do it first of all.

The forkserver's imports take half a second. They cost a caller nothing that starts it before its own imports.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys

TYPE_CHECKING = False  # typing's: this module is imported before everything else

if TYPE_CHECKING:
    from bulkhaul.model.errors import OtherError

_OURS = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals that a terminal sends to every process of a command; only the coordinator acts on them."""

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

    Raises:
        Unsupported: the platform has no pidfd (Linux 5.3 or newer is needed).
        OtherError: the operating system starts no more processes, or opens no more files.
    """

    def __init__(self) -> None:
        try:
            self.control, self.process = _started()
        except OSError as error:
            raise start_error(error) from error

    def close(self) -> None:
        """Tell it to end (it kills what it forked) and reap it."""
        with contextlib.suppress(OSError):  # it is closed, or the forkserver is gone
            self.control.shutdown(socket.SHUT_RDWR)  # a child of the caller's may hold a copy of our end
        self.control.close()
        try:
            self.process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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


def _started() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process and return our end of the channel to it; nothing is left open when it cannot be done.

    Raises:
        OSError: the operating system starts no more processes, or opens no more files.
        Unsupported: it has no pidfd.
    """
    pidfd = _pidfd_of_this_process()
    try:
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except OSError:
        os.close(pidfd)
        raise
    boot = _BOOT.format(path=sys.path, control=theirs.fileno(), pidfd=pidfd, ours=tuple(map(int, _OURS)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own code
            [sys.executable, "-c", boot],
            pass_fds=(theirs.fileno(), pidfd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a pipe on our stdout must end with us
        )
    except BaseException:
        control.close()
        raise
    finally:
        theirs.close()
        os.close(pidfd)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return control, process


def _pidfd_of_this_process() -> int:
    try:
        return os.pidfd_open(os.getpid())
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _REMEDIES:
            raise
        from bulkhaul.model.errors import Unsupported

        raise Unsupported("worker processes need Linux 5.3 or newer (pidfd)", cause=str(error)) from error
