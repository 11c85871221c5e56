"""Forks commands from a process that has imported the program, which is two thirds of what a short command costs.

    test ──arguments, environment, pipes──▶ fork server ──fork──▶ command
      ◀──────────────── its status ─────────────╯

What a command does is the same, but what it imports: ``tests/unit/test_imports.py`` imports each module alone. Tests of
how a process begins, or of one that gets signals, start a real one by ``command.start``.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, NoReturn

import bulkhaul

MOST_BYTES = 100_000
"""Of a request; the kernel takes twice as much in one message."""


class _Asked(NamedTuple):
    """How a command is to be run."""

    words: list[str]
    environment: dict[str, str]
    folder: str
    umask: int


LEFT_OUT = ("bulkhaul.__main__", "bulkhaul.testing", "bulkhaul.fsspec")
"""What no command needs."""

LATE = ("hdrh.histogram", "jinja2", "matplotlib.backends.backend_svg", "matplotlib.figure")
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
    asked = _Asked(list(words), dict(environment), str(folder or Path.cwd()), _umask())
    message = json.dumps(asked).encode("utf-8", "surrogateescape")
    if len(message) > MOST_BYTES or _read_at_the_start(environment) != _BEGUN_WITH:
        return None
    theirs, ours = zip(*(os.pipe()[::-1] for _ in range(3)), strict=True)
    if given is not None:
        reading, writing = os.pipe()
        theirs, ours = (*theirs, reading), (*ours, writing)
    try:
        try:
            with _lock:
                socket.send_fds(started(), [message], theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        with ExitStack() as feeding:
            if given is not None:
                ours, writing = ours[:3], ours[3]
                thread = threading.Thread(target=_fed, args=(writing, given))
                thread.start()
                feeding.callback(thread.join)
            return _taken(words, ours, timeout_s)
    finally:
        for fd in ours:
            os.close(fd)


def _fed(fd: int, given: bytes) -> None:
    """Write all that a command is given, or as much as it wants."""
    with contextlib.suppress(BrokenPipeError), open(fd, "wb", buffering=0) as pipe:
        pipe.write(given)


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
    with selectors.DefaultSelector() as waiting:
        for fd in ours:
            waiting.register(fd, selectors.EVENT_READ)
        while waiting.get_map():
            ready = waiting.select(deadline_s - time.monotonic())
            if not ready:
                os.kill(json.loads(bytes(written[ours[2]]).split(b"\n")[0]), 9)
                raise subprocess.TimeoutExpired(list(words), timeout_s, *map(bytes, list(written.values())[:2]))
            for key, _ in ready:
                data = os.read(key.fd, 1 << 16)
                written[key.fd] += data
                if not data:
                    waiting.unregister(key.fd)
    stdout, stderr, told = map(bytes, written.values())
    return subprocess.CompletedProcess(list(words), json.loads(told.split(b"\n")[1]), stdout, stderr)


_lock = threading.Lock()


@functools.cache
def started() -> socket.socket:
    """Start the fork server, and return where it is asked; it ends when this process does."""
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        fd = theirs.fileno()
        command = [sys.executable, "-m", "tests.integration.fork_server", str(fd)]
        process = subprocess.Popen(command, pass_fds=[fd], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def end() -> None:
        control.close()
        process.wait()

    atexit.register(end)
    return control


# The fork server itself


def _serve(control: socket.socket) -> None:
    """Fork a command for each request, and tell its process id and then its status, as lines."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command sets it: no thread may run where a process is forked
    for module in pkgutil.walk_packages(bulkhaul.__path__, "bulkhaul."):
        if not module.name.startswith(LEFT_OUT):
            importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    assert threading.active_count() == len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == control.fileno():
                message, fds, _, _ = socket.recv_fds(control, 2 * MOST_BYTES, 4)
                if not message:
                    return
                pid = os.fork()
                if pid == 0:
                    _become(_Asked(*json.loads(message.decode("utf-8", "surrogateescape"))), fds)
                told = fds.pop(2)
                for theirs in fds:
                    os.close(theirs)
                os.write(told, b"%d\n" % pid)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid, told
                poll.register(pidfd, select.POLLIN)
            else:
                pid, told = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                os.write(told, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(told)


def _become(asked: _Asked, fds: Sequence[int]) -> NoReturn:
    """Go on as a command."""
    from bulkhaul.cli.main import main

    try:
        stdout, stderr, _, *stdin = fds
        for fd, number in ((stdout, 1), (stderr, 2), *((fd, 0) for fd in stdin)):
            os.dup2(fd, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(asked.folder)
        os.umask(asked.umask)
        os.environ.clear()
        os.environ.update(asked.environment)
        sys.argv[1:] = asked.words
        gc.unfreeze()
        main()
    except BaseException:  # noqa: BLE001 - the child must not go on as a second server
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
