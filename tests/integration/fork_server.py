"""Forks commands from a process that has imported the program, which is two thirds of what a short command costs.

    test ──arguments, environment, pipes──▶ fork server ──fork──▶ command
      ◀──────────────── its status ─────────────╯

What a command does is the same, but what it imports: ``tests/unit/test_imports.py`` imports each module alone. Tests of
how a process begins, or of one that gets signals, start a real one by ``command.start``.
"""

from __future__ import annotations

import atexit
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
from typing import NoReturn

import bulkhaul

MOST_BYTES = 100_000
"""Of a request; the kernel takes twice as much in one message."""

LEFT_OUT = ("bulkhaul.__main__", "bulkhaul.testing", "bulkhaul.fsspec")
"""What no command needs."""

LATE = ("hdrh.histogram", "jinja2", "matplotlib.backends.backend_svg", "matplotlib.figure")
"""What reports of benchmarks import when they are written."""


def run(
    words: Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[bytes] | None:
    """Run ``bulkhaul`` to its end, with nothing on stdin; None if it needs a process of its own from the start.

    Raises:
        TimeoutExpired: it was killed, since it had not ended in time.
    """
    asked = json.dumps([list(words), dict(environment), os.getcwd(), _umask()]).encode("utf-8", "surrogateescape")
    if len(asked) > MOST_BYTES or _read_at_the_start(environment) != _BEGUN_WITH:
        return None
    theirs, ours = zip(*(os.pipe()[::-1] for _ in range(3)), strict=True)
    try:
        try:
            _sent(asked, theirs)
        finally:
            for fd in theirs:
                os.close(fd)
        return _taken(words, ours, timeout_s)
    finally:
        for fd in ours:
            os.close(fd)


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


def _sent(asked: bytes, fds: Sequence[int]) -> None:
    """Ask the fork server for a command."""
    with _lock:
        socket.send_fds(started(), [asked], list(fds))


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
                asked, fds, _, _ = socket.recv_fds(control, 2 * MOST_BYTES, 3)
                if not asked:
                    return
                pid = os.fork()
                if pid == 0:
                    _become(asked, fds)
                os.close(fds[0])
                os.close(fds[1])
                os.write(fds[2], b"%d\n" % pid)
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid, fds[2]
                poll.register(pidfd, select.POLLIN)
            else:
                pid, told = running.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                os.write(told, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                os.close(told)


def _become(asked: bytes, fds: Sequence[int]) -> NoReturn:
    """Go on as a command."""
    from bulkhaul.cli.main import main

    try:
        words, environment, folder, umask = json.loads(asked.decode("utf-8", "surrogateescape"))
        os.dup2(fds[0], 1)
        os.dup2(fds[1], 2)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir(folder)
        os.umask(umask)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv[1:] = words
        gc.unfreeze()
        main()
    except BaseException:  # noqa: BLE001 - the child must not go on as a second server
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
