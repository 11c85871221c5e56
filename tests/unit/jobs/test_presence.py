"""Who works at a job is told to others, and only for as long as it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bulkhaul.jobs.folder import presence
from bulkhaul.jobs.folder.presence import Running, alone_in_bucket, alone_in_folder
from bulkhaul.model.errors import AccessDenied, JobInUse
from bulkhaul.store.memory import MemoryStore

KEY = "job/running.json"


def running(store: MemoryStore) -> Running:
    """Return what the bucket says of who works at the job."""
    return msgspec.json.decode(store.get_bytes(KEY), type=Running)


def told(store: MemoryStore, **changes: object) -> None:
    """Say that another process works at the job."""
    with alone_in_bucket(store, "job/", "s3://memory/job", "another"):
        other = running(store)
    store.put_bytes(KEY, msgspec.json.encode(msgspec.structs.replace(other, **changes)))


def a_dead_pid() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_folder_is_one_processs_at_a_time(tmp_path: Path) -> None:
    """The second is refused, with the process that works there; after that one the next is taken."""
    with alone_in_folder(str(tmp_path)):
        with pytest.raises(JobInUse, match=f"process {os.getpid()}"), alone_in_folder(str(tmp_path)):
            pass
    with alone_in_folder(str(tmp_path)):
        pass


def test_a_bucket_is_one_processs_at_a_time() -> None:
    """The second is refused while the first one works, and not any more when it has ended."""
    store = MemoryStore()
    with alone_in_bucket(store, "job/", "s3://memory/job", "one"):
        with pytest.raises(JobInUse, match=f"process {os.getpid()}"):
            with alone_in_bucket(store, "job/", "s3://memory/job", "two"):
                pass
    assert list(store.list()) == []
    with alone_in_bucket(store, "job/", "s3://memory/job", "two"):
        assert running(store).runner == "two"


def test_a_dead_process_of_this_machine_holds_nothing() -> None:
    """A process that was killed here is known to be dead at once."""
    store = MemoryStore()
    told(store, pid=a_dead_pid())
    with alone_in_bucket(store, "job/", "s3://memory/job", "two"):
        assert running(store).runner == "two"


def test_a_killed_process_that_nobody_has_reaped_holds_nothing() -> None:
    """Where the first process of a container reaps none, what was killed keeps its id, and is dead."""
    store = MemoryStore()
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    try:
        told(store, pid=process.pid)
        with alone_in_bucket(store, "job/", "s3://memory/job", "two"):
            assert running(store).runner == "two"
    finally:
        process.wait()


def test_a_process_of_another_machine_holds_for_a_minute() -> None:
    """Whether it lives cannot be looked at, so it counts until it has not renewed its object for a minute."""
    store = MemoryStore()
    told(store, pid=a_dead_pid(), host="elsewhere")
    with pytest.raises(JobInUse, match="elsewhere"), alone_in_bucket(store, "job/", "s3://memory/job", "two"):
        pass
    told(store, host="elsewhere", at=time.time() - presence.STALE_S - 1)
    with alone_in_bucket(store, "job/", "s3://memory/job", "two"):
        assert running(store).runner == "two"


def test_it_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that works for long says again and again that it lives; a renewal that fails ends nothing."""
    monkeypatch.setattr(presence, "RENEW_S", 0.01)
    store = MemoryStore()
    with alone_in_bucket(store, "job/", "s3://memory/job", "one"):
        store.fail_next("put_bytes", AccessDenied("denied"))
        first = running(store).at
        deadline_s = time.monotonic() + 30
        while running(store).at == first:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
    assert store.pending_faults == 0


def test_what_cannot_be_read_holds_nothing() -> None:
    """An object that is none of ours keeps nobody from working."""
    store = MemoryStore()
    store.put_bytes(KEY, b"nonsense")
    with alone_in_bucket(store, "job/", "s3://memory/job", "one"):
        assert running(store).runner == "one"
