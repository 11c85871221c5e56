"""Tells others that a process works at a job, so that a second one is not started by mistake.

It is a courtesy: two runs at once do no harm, but each object is moved twice. A folder of this machine has a lock that
ends with its process. In a bucket an object names the process, and counts for as long as it is renewed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

import msgspec

from bulkhaul.disk.boot import boot_id
from bulkhaul.disk.locks import NO_LOCKS, take_lock
from bulkhaul.disk.oserrors import local_error
from bulkhaul.jobs.folder.lines import decode, encode
from bulkhaul.model.errors import DamagedJob, JobInUse, NotFound, TransferError
from bulkhaul.store.protocol import ObjectStore

RENEW_S: Final = 15.0
"""Time between two renewals in a bucket."""

STALE_S: Final = 60.0
"""A process of another machine that has not renewed its object for so long is taken for dead: it missed three times."""

LOCK_NAME: Final = "lock"
RUNNING_NAME: Final = "running.json"

_log = logging.getLogger("bulkhaul")


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """``running.json``: who works at the job. ``at``: when it was written, in seconds since the epoch."""

    host: str
    boot_id: str
    pid: int
    runner: str
    at: float


@contextlib.contextmanager
def alone_in_folder(folder: str) -> Iterator[None]:
    """Hold the lock of a job in a folder of this machine.

    Raises:
        JobInUse: another process holds it.
        LocalError: the folder refuses.
    """
    path = os.path.join(folder, LOCK_NAME)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise local_error(error, path) from error
    try:
        if not _taken(fd, path):
            pid = os.pread(fd, 20, 0).decode(errors="replace").strip()
            raise JobInUse(f"process {pid or '?'} works at this job; wait until it ends, or stop it", folder)
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def alone_in_bucket(store: ObjectStore, prefix: str, name: str, runner: str) -> Iterator[None]:
    """Keep an object that says that this process works at the job.

    Args:
        name: of the job, for errors.
        runner: of this run, which no other one has.

    Raises:
        JobInUse: another process that lives works at it.
        TransferError: the bucket refuses.
    """
    key = prefix + RUNNING_NAME
    if (other := _running(store, key)) is not None and other.runner != runner and _lives(other):
        seconds = max(1, round(other.at + STALE_S - time.time()))
        text = f"process {other.pid} on {other.host} works at this job; if it is dead, try again in {seconds} seconds"
        raise JobInUse(text, name)

    def renew() -> None:
        store.put_bytes(key, encode(_ourselves(runner)))

    renew()
    ended = threading.Event()

    def keep() -> None:
        while not ended.wait(RENEW_S):
            try:
                renew()
            except TransferError as error:
                _log.warning("%s: others may take this run for dead: %s", name, error)

    keeping = threading.Thread(target=keep, name="bulkhaul-presence", daemon=True)
    keeping.start()
    try:
        yield
    finally:
        ended.set()
        keeping.join()
        try:
            store.delete(key)
        except NotFound:
            pass
        except TransferError as error:
            _log.warning("%s: others take this run for living for %d s: %s", name, STALE_S, error)


def _taken(fd: int, path: str) -> bool:
    try:
        return take_lock(fd)
    except OSError as error:
        if error.errno in NO_LOCKS:
            return True  # two runs do no harm
        raise local_error(error, path) from error


def _running(store: ObjectStore, key: str) -> Running | None:
    try:
        return decode(store.get_bytes(key), Running, key)
    except (NotFound, DamagedJob):
        return None


def _lives(other: Running) -> bool:
    if (other.host, other.boot_id) == (socket.gethostname(), boot_id()) and other.pid > 0 and _has_ended(other.pid):
        return False
    return abs(time.time() - other.at) < STALE_S


def _has_ended(pid: int) -> bool:
    """Return whether a process of this machine is known to be dead, be it that nobody has reaped it yet."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    try:
        look = select.poll()
        look.register(fd, select.POLLIN)  # pidfd_open(2): readable as soon as the process has terminated
        return bool(look.poll(0))
    finally:
        os.close(fd)


def _ourselves(runner: str) -> Running:
    return Running(host=socket.gethostname(), boot_id=boot_id(), pid=os.getpid(), runner=runner, at=time.time())
