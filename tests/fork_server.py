"""Forks commands, and the forkservers of engines, from a process that has imported the program.

    test ──arguments, environment, pipes──▶ fork server ──fork──▶ command
      ◀──────────────── its status ─────────────╯

    engine of a test ──its channel──▶ fork server ──fork, fork──▶ forkserver of the engine ──fork──▶ workers
           ◀───── process id, of a child of the test ──────────────╯

Imports are two thirds of what a short command costs, and nearly all of what an engine's start does. What runs is the
same, except for them: ``tests/unit/test_imports.py`` imports each module alone. Tests of how a process begins, or of a
command that gets signals, start a real one: by ``command.start``, or with ``real_workers``.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn
from unittest import mock

from bulkhaul.engine.pool import forkserver_process
from tests import modules

ROOT = Path(__file__).parents[1]

MOST_BYTES = 100_000
"""Of a request: less than a socket takes in one message, which is 208 KiB by default. Source: unix(7), socket(7)."""


class _Asked(NamedTuple):
    """What is to be forked, and how it is to run.

    Attributes:
        words: of the command; None for the forkserver of an engine.
    """

    words: list[str] | None
    environment: dict[str, str]
    folder: str
    umask: int


LEFT_OUT = ("bulkhaul.__main__", "bulkhaul.testing", "bulkhaul.fsspec")
"""What neither commands nor workers need."""

LATE = (
    "hdrh.histogram", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
    "matplotlib.figure",
)  # fmt: skip
"""What reports of benchmarks import when they are written."""


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    timeout_s: float,
    *,
    given: bytes | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run ``bulkhaul`` to its end; None if it needs a process of its own from the start.

    Args:
        given: what it reads from a pipe on stdin; None for nothing, and no pipe.
        folder: that it runs in; None for that of this process.

    Raises:
        TimeoutExpired: it was killed, since it had not ended in time.
    """
    message = _message(list(words), environment, folder)
    if message is None:
        return None
    theirs, ours = zip(*(os.pipe()[::-1] for _ in range(3)), strict=True)
    if given is not None:
        reading, writing = os.pipe()
        theirs = (*theirs, reading)
        threading.Thread(target=_fed, args=(writing, given), daemon=True).start()
    try:
        try:
            with _lock:
                socket.send_fds(started(), [message], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        return _taken(words, ours, timeout_s)
    finally:
        for fd in ours:
            os.close(fd)


def _fed(fd: int, given: bytes) -> None:
    """Write all that a command is given, or as much as it wants."""
    with contextlib.suppress(BrokenPipeError), open(fd, "wb") as pipe:
        pipe.write(given)


def _message(words: list[str] | None, environment: Mapping[str, str], folder: Path | None = None) -> bytes | None:
    """Return what the fork server is told; None if this needs a process of its own from the start."""
    if _read_at_the_start(environment) != _BEGUN_WITH:
        return None
    asked = _Asked(words, dict(environment), str(folder or Path.cwd()), _umask())
    message = json.dumps(asked).encode("utf-8", "surrogateescape")
    return message if len(message) <= MOST_BYTES else None


def _read_at_the_start(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a process reads when it begins, and not again."""
    names = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
    return {name: value for name, value in environment.items() if name.startswith(names)}


_BEGUN_WITH = _read_at_the_start(os.environ)


def _umask() -> int:
    with open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("Umask:")).split()[1], 8)


def _taken(words: Sequence[str], ours: Sequence[int], timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Return what a command has written to its pipes when it has ended."""
    deadline_s = time.monotonic() + timeout_s
    written = {fd: bytearray() for fd in ours}
    stdout, stderr, told = written.values()
    with selectors.DefaultSelector() as waiting:
        for fd in ours:
            waiting.register(fd, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(max(0.0, deadline_s - time.monotonic()))
            if time.monotonic() > deadline_s:
                if len(told.split()) == 1:  # else it has ended, and a child of it holds the pipes
                    os.kill(int(told), signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), timeout_s, bytes(stdout), bytes(stderr))
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                written[key.fd] += data
                if not data:
                    waiting.unregister(key.fd)
    assert len(told.split()) == 2, "the fork server has ended"
    return subprocess.CompletedProcess(list(words), int(told.split()[1]), bytes(stdout), bytes(stderr))


_lock = threading.Lock()

READY = b"."
"""What the fork server says when it has imported all."""

_PR_SET_CHILD_SUBREAPER = 36
"""Source: linux/prctl.h."""

_SPAWNED = forkserver_process._spawned


@contextlib.contextmanager
def forked_workers() -> Iterator[None]:
    """Have the engines of this process get their forkservers from the fork server; a forked child's start their own."""
    owner = os.getpid()
    started()

    def got(theirs: int, pidfd: int, environment: Mapping[str, str]) -> int:
        message = _message(None, environment)
        if message is None or os.getpid() != owner:
            return _SPAWNED(theirs, pidfd, environment)
        return _adopted(message, theirs, pidfd)

    with mock.patch.object(forkserver_process, "_spawned", got):
        yield


@contextlib.contextmanager
def real_workers() -> Iterator[None]:
    """Have engines start their forkservers themselves again."""
    with mock.patch.object(forkserver_process, "_spawned", _SPAWNED):
        yield


def _adopted(message: bytes, theirs: int, pidfd: int) -> int:
    """Have a forkserver forked, become its parent, and return its process id.

    Meanwhile, for some milliseconds, whatever below this process loses its parent would fall to it, too.
    """
    reading, told = os.pipe()
    with _lock, open(reading, "rb") as answer:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        assert prctl(_PR_SET_CHILD_SUBREAPER, 1) == 0
        try:
            try:
                socket.send_fds(started(), [message], [theirs, pidfd, 2, told])
            finally:
                os.close(told)
            pid = answer.read()
        finally:
            prctl(_PR_SET_CHILD_SUBREAPER, 0)
    assert pid, "the fork server has ended, or can fork no more"
    try:
        os.waitid(os.P_PID, int(pid), os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError as error:  # an OSError would be told as one of the engine's
        raise AssertionError("the forkserver is no child of this process") from error
    return int(pid)


@functools.cache
def started() -> socket.socket:
    """Start the fork server, and return where it is asked; it ends when this process does."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        fd = theirs.fileno()
        command = [sys.executable, "-m", "tests.fork_server", str(fd)]
        process = subprocess.Popen(
            command, pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=ROOT
        )

    def end() -> None:
        control.close()
        process.wait()

    atexit.register(end)
    assert control.recv(1) == READY
    return control


# The fork server itself


def _serve(control: socket.socket) -> None:
    """Fork what each request asks for, and tell its process id, and of a command its status, as lines."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command sets it: no thread may run where a process is forked
    _import(name for name in modules.names("bulkhaul") if not name.startswith(LEFT_OUT))
    control.send(READY)
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd != control.fileno():
                poll.unregister(fd)
                os.close(fd)
                pid, told = running.pop(fd)
                _tell(told, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(told)
                continue
            message, fds, _, _ = socket.recv_fds(control, 2 * MOST_BYTES, 4)
            if not message:
                return
            asked = _Asked(*json.loads(message.decode("utf-8", "surrogateescape")))
            if asked.words is None:
                _give_away(asked, fds)
                continue
            if "bench" in asked.words and not set(LATE) <= set(sys.modules):
                _import(LATE)
            pid = os.fork()
            if pid == 0:
                _become(asked, fds)
            told = fds.pop(2)
            for theirs in fds:
                os.close(theirs)
            _tell(told, pid)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid, told
            poll.register(pidfd, select.POLLIN)


def _import(names: Iterable[str]) -> None:
    """Import modules, which may start no thread, and hide them from the collector until a child unhides them."""
    for name in names:
        importlib.import_module(name)
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()


def _tell(fd: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # who asked has given up
        os.write(fd, b"%d\n" % number)


def _give_away(asked: _Asked, fds: Sequence[int]) -> None:
    """Fork the forkserver of an engine as a child of who asked, whom it falls to when the one between has ended."""
    with contextlib.suppress(OSError):  # it can fork no more: who asked is told of none
        between = os.fork()
        if between == 0:
            try:
                pid = os.fork()
                if pid == 0:
                    _become_forkserver(asked, *fds)
                _tell(fds[-1], pid)
            finally:
                os._exit(0)
        os.waitpid(between, 0)
    for theirs in fds:
        os.close(theirs)


def _become_forkserver(asked: _Asked, control: int, pidfd: int, stderr: int, told: int) -> NoReturn:
    """Go on as the forkserver of an engine."""
    from bulkhaul.engine.worker.forkserver import main

    try:
        os.close(told)
        os.dup2(stderr, 2)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        _live_as(asked)
        gc.disable()
        main(control, pidfd)
    except BaseException:  # noqa: BLE001 - the child must not go on as a second server
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def _live_as(asked: _Asked) -> None:
    """Take the folder, the mask and the environment of a process, and let the collector look at all of its memory."""
    os.chdir(asked.folder)
    os.umask(asked.umask)
    os.environ.clear()
    os.environ.update(asked.environment)
    gc.unfreeze()


def _become(asked: _Asked, fds: Sequence[int]) -> NoReturn:
    """Go on as a command."""
    from bulkhaul.cli.main import main

    assert asked.words is not None
    try:
        stdout, stderr, _, *stdin = fds
        for fd, number in ((stdout, 1), (stderr, 2), *((fd, 0) for fd in stdin)):
            os.dup2(fd, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        # Anew, for a stream keeps whether it can seek.
        sys.stdin = os.fdopen(0, encoding=sys.stdin.encoding, closefd=False)
        sys.stdout = os.fdopen(1, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, encoding=sys.stderr.encoding, errors=sys.stderr.errors, closefd=False)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # they are ignored in a run under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _live_as(asked)
        sys.argv[1:] = asked.words
        main()
    except BaseException:  # noqa: BLE001 - the child must not go on as a second server
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
