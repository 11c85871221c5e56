"""Batches of small objects meet deaths, full disks and other programs: exact bytes, or an error of one object."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.engine.messages.messages import BatchEnded
from bulkhaul.engine.pool.batch_job import BatchJob
from bulkhaul.model.settings import Timeouts
from bulkhaul.testing.faultserver.faults import Reception
from tests.batches import watched_batches
from tests.engines import (
    QUICK,
    Rig,
    assert_nothing_held,
    aws_environment,
    eventually,
    is_alive,
    keys,
    running_engine,
    running_rig,
    serving,
    temp_files,
)
from tests.faultserver import Exchange, Fault, FaultServer, Stall, make_object
from tests.patience import PATIENCE_S, SOON_S

COUNT = 20
BODIES = {f"{number:03}": random.Random(number).randbytes(3000 + number) for number in range(COUNT)}
# One worker gets two batches of ten, and this object is of the second one.
HELD, TOGETHER = "011", 10
Results = dict[str, TransferResult]


def fill(server: FaultServer, prefix: str = "p/") -> None:
    """Store the objects of one batch."""
    for name, body in BODIES.items():
        server.store.put("bucket", prefix + name, make_object(body, algorithm="CRC32"))


def restored(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, without temp files."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name in BODIES and path.is_file()}


def run(rig: Rig, folder: Path, prefix: str = "p/") -> Results:
    """Restore the objects of a prefix, and look at what is left."""
    results = {one.key.removeprefix(prefix): one for one in rig.engine.download_many(f"s3://bucket/{prefix}", folder)}
    assert_nothing_held(rig.engine, folder)
    return results


def in_the_middle(folder: Path) -> bool:
    """Whether one batch is published, and all objects of the other have temp files."""
    if not folder.is_dir() or len(temp_files(folder)) != TOGETHER:
        return False
    return [name for name, body in restored(folder).items() if body == BODIES[name]] == list(BODIES)[:TOGETHER]


@pytest.fixture
def arrived(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows that arrived in each batch."""
    return watched_batches(monkeypatch, "landed")


@contextmanager
def held(
    folder: Path, *, until: threading.Event | None = None, timeouts: Timeouts = QUICK
) -> Iterator[tuple[Rig, Future[Results]]]:
    """One worker in the middle of a batch: all of its objects are in temp files, but one has stalled."""
    go_on = until or threading.Event()
    with running_rig(folder.parent, workers=1, concurrency=4, timeouts=timeouts) as rig, ThreadPoolExecutor() as pool:
        fill(rig.server)
        rig.server.add_fault(Stall(key=f"p/{HELD}", after_bytes=1000, until=go_on))
        future = pool.submit(run, rig, folder)
        eventually(lambda: in_the_middle(folder), "one batch is published, and another in temp files")
        try:
            yield rig, future
        finally:
            go_on.set()


def test_a_batch_is_of_many(tmp_path: Path, arrived: list[int]) -> None:
    """The objects of a folder go together, also those in a folder below, and each batch is of many."""
    with running_rig(tmp_path) as rig:
        fill(rig.server)
        fill(rig.server, "p/below/")
        results = run(rig, tmp_path / "out")
        assert all(one.ok for one in results.values())
        assert restored(tmp_path / "out") == restored(tmp_path / "out" / "below") == BODIES
        assert sum(arrived) == 2 * COUNT
        assert len(arrived) <= 6


def test_a_worker_is_killed(tmp_path: Path) -> None:
    """What a dead worker had not reported is fetched again by another one, and its temp files are gone."""
    with held(tmp_path / "out") as (rig, future):
        (worker,) = rig.engine.worker_pids
        os.kill(worker, signal.SIGKILL)
        results = future.result(PATIENCE_S)
        assert all(one.ok for one in results.values())
        assert {one.retries for name, one in results.items() if name >= "010"} == {1}
        assert restored(tmp_path / "out") == BODIES
        assert worker not in rig.engine.worker_pids


def test_a_worker_is_stopped(tmp_path: Path) -> None:
    """A worker that says nothing any more is killed before its rows are fetched by another one."""
    folder, go_on = tmp_path / "out", threading.Event()
    with held(folder, until=go_on, timeouts=msgspec.structs.replace(QUICK, heartbeat_s=4.0)) as (rig, future):
        (worker,) = rig.engine.worker_pids
        os.kill(worker, signal.SIGSTOP)
        go_on.set()
        assert all(one.ok for one in future.result(PATIENCE_S).values())
        assert restored(folder) == BODIES
        assert worker not in rig.engine.worker_pids


def test_the_folder_is_replaced_by_a_link(tmp_path: Path) -> None:
    """What is under way goes where the folder has gone; nothing is written behind the link."""
    folder, go_on = tmp_path / "out", threading.Event()
    (tmp_path / "elsewhere").mkdir()
    with held(folder, until=go_on) as (_, future):
        folder.rename(tmp_path / "moved")
        folder.symlink_to(tmp_path / "elsewhere")
        go_on.set()
        future.result(PATIENCE_S)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert temp_files(tmp_path / "moved") == []
    assert restored(tmp_path / "moved") == BODIES


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """The objects in it fail, each by its name, and those beside it are exact."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "below").write_bytes(b"a file")
    with running_rig(tmp_path) as rig:
        fill(rig.server)
        fill(rig.server, "p/below/")
        results = run(rig, folder)
    failed = {name: type(one.error) for name, one in results.items() if not one.ok}
    assert failed == {f"below/{name}": errors.LocalError for name in BODIES}
    assert restored(folder) == BODIES


def test_the_folder_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then no object of the batch counts as success, though all are there."""

    def flush(_: int) -> None:
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr("bulkhaul.disk.landing.flush", flush)
    with running_rig(tmp_path, fsync=True) as rig:
        fill(rig.server)
        results = run(rig, tmp_path / "out")
    assert {type(one.error) for one in results.values()} == {errors.DurabilityUnknown}
    assert restored(tmp_path / "out") == BODIES


@dataclass(frozen=True, kw_only=True)
class Poison(Fault):
    """Kills every worker of an engine when the object is asked for."""

    pids: list[Callable[[], list[int]]] = field(default_factory=list)

    def receive(self, exchange: Exchange, reception: Reception) -> None:
        """Kill, before anything is answered."""
        for pid in self.pids[0]():
            os.kill(pid, signal.SIGKILL)


def test_an_object_that_kills(tmp_path: Path) -> None:
    """An object that kills each worker that asks for it fails by itself: all others are exact."""
    with running_rig(tmp_path, workers=1, concurrency=4) as rig:
        fill(rig.server)
        rig.server.add_fault(Poison(key=f"p/{HELD}", attempt="every", pids=[lambda: rig.engine.worker_pids]))
        results = run(rig, tmp_path / "out")
        failed = {name: one.error for name, one in results.items() if not one.ok}
        assert list(failed) == [HELD]
        assert type(failed[HELD]) is errors.WorkerDied
        assert restored(tmp_path / "out") == {name: body for name, body in BODIES.items() if name != HELD}


PROGRAM = """
import sys
from bulkhaul import Engine
endpoint_url, folder = sys.argv[1:]
with Engine(endpoint_url=endpoint_url, workers=1, concurrency=4) as engine:
    for result in engine.download_many("s3://bucket/p/", folder):
        pass
print("done", flush=True)
"""


@contextmanager
def program(server: FaultServer, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run PROGRAM until it is in the middle of its second batch, one object of which has stalled."""
    fill(server)
    command = [sys.executable, "-c", PROGRAM, server.endpoint_url, str(folder)]
    with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            eventually(lambda: in_the_middle(folder), "one batch is published, and another in temp files")
            yield process
        finally:
            process.kill()


def test_the_coordinator_is_killed(tmp_path: Path) -> None:
    """Nothing of a batch that was not reported is published; the next run clears what is left, and is exact."""
    folder = tmp_path / "out"
    with serving() as server:
        server.add_fault(Stall(key=f"p/{HELD}", after_bytes=1000))
        with program(server, folder) as process:
            process.kill()
        assert all(BODIES[name] == body for name, body in restored(folder).items())
        assert {path.name for path in folder.iterdir()} - BODIES.keys() == set(temp_files(folder))
        assert len(temp_files(folder)) == TOGETHER
        with running_engine(server.endpoint_url) as engine:
            assert all(one.ok for one in engine.download_many("s3://bucket/p/", folder))
        assert restored(folder) == BODIES
        assert temp_files(folder) == []


def test_another_run_sweeps_the_folder(tmp_path: Path) -> None:
    """A second run to the same folder may take the temp files of a first one: both end exact all the same."""
    folder, go_on = tmp_path / "out", threading.Event()
    with serving() as server:
        server.add_fault(Stall(key=f"p/{HELD}", after_bytes=1000, until=go_on))
        with program(server, folder) as process:
            with running_engine(server.endpoint_url) as engine:
                assert all(one.ok for one in engine.download_many("s3://bucket/p/", folder))
            go_on.set()
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            assert process.wait(PATIENCE_S) == 0
        assert restored(folder) == BODIES


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a batch ends the program within seconds, and leaves no temp file."""
    folder = tmp_path / "out"
    with serving() as server:
        server.add_fault(Stall(key=f"p/{HELD}", after_bytes=1000))
        with program(server, folder) as process:
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON_S) in (1, -signal.SIGINT)
            eventually(lambda: not is_alive(process.pid), "it has ended")
        assert temp_files(folder) == []
        assert restored(folder) == {name: body for name, body in BODIES.items() if name < "010"}


def remove_one(temp: Path) -> None:
    """Remove a temp file."""
    temp.unlink()


def cut_one(temp: Path) -> None:
    """Cut a temp file."""
    os.truncate(temp, 10)


def replace_one(temp: Path) -> None:
    """Put another file in the place of a temp file."""
    size = temp.stat().st_size
    temp.unlink()
    temp.write_bytes(b"?" * size)


def link_one(temp: Path) -> None:
    """Put a symbolic link in the place of a temp file."""
    temp.unlink()
    temp.symlink_to("/etc/passwd")


@pytest.mark.parametrize("damage", [remove_one, cut_one, replace_one, link_one])
def test_temp_files_are_damaged(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A temp file that another program has changed is not published: its object is fetched again."""
    folder, go_on = tmp_path / "out", threading.Event()
    with held(folder, until=go_on) as (_, future):
        for name in temp_files(folder)[:5]:
            damage(folder / name)
        go_on.set()
        results = future.result(PATIENCE_S)
        assert all(one.ok for one in results.values())
        assert restored(folder) == BODIES


def test_what_is_in_the_way(tmp_path: Path) -> None:
    """A folder, a FIFO or a link to a device in the place of a file fails that object; a link to a file is replaced."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "003").mkdir()
    os.mkfifo(folder / "005")
    (folder / "007").symlink_to("/dev/null")
    (tmp_path / "elsewhere").write_bytes(b"stays")
    (folder / "009").symlink_to(tmp_path / "elsewhere")
    with running_rig(tmp_path) as rig:
        fill(rig.server)
        results = run(rig, folder)
    failed = {name: type(one.error) for name, one in results.items() if not one.ok}
    assert failed == dict.fromkeys(("003", "005", "007"), errors.LocalError)
    assert (tmp_path / "elsewhere").read_bytes() == b"stays"
    for name in BODIES.keys() - failed:
        assert not (folder / name).is_symlink()
        assert (folder / name).read_bytes() == BODIES[name]


@pytest.mark.parametrize("fsync", [False, True])
def test_modes(tmp_path: Path, fsync: bool) -> None:
    """A new file has what the umask leaves; one that replaces another keeps that one's mode."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name, mode in (("001", 0o600), ("002", 0o664), ("003", 0o444)):
        (folder / name).write_bytes(b"old")
        (folder / name).chmod(mode)
    before = os.umask(0o027)
    try:
        with running_rig(tmp_path, fsync=fsync) as rig:
            fill(rig.server)
            assert all(one.ok for one in run(rig, folder).values())
    finally:
        os.umask(before)
    assert restored(folder) == BODIES
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert [modes.pop(name) for name in ("001", "002", "003")] == [0o600, 0o664, 0o444]
    assert set(modes.values()) == {0o640}


def test_a_private_file_is_never_open_to_others(tmp_path: Path) -> None:
    """While what replaces a private file waits in its temp file, nobody else may read that."""
    folder = tmp_path / "out"
    folder.mkdir()
    for name in BODIES:
        (folder / name).write_bytes(b"old")
        (folder / name).chmod(0o600)
    with held(folder):
        assert len(temp_files(folder)) == TOGETHER
        assert {(folder / name).stat().st_mode & 0o777 for name in temp_files(folder)} == {0o600}


def test_the_disk_is_full(tmp_path: Path, small_disk: Path) -> None:
    """A full disk ends the run, as the others would not fit either; nothing is left in pieces."""
    if not os.path.ismount(small_disk):
        pytest.xfail("no file system could be mounted")
    body = random.Random(1).randbytes(200_000)
    with running_rig(tmp_path) as rig:
        for number in range(40):
            rig.server.store.put("bucket", f"p/{number:03}", make_object(body, algorithm="CRC32"))
        with pytest.raises(errors.DiskFull):
            run(rig, small_disk)
    there = list(small_disk.iterdir())
    assert 5 < len(there) < 35
    assert all(path.read_bytes() == body for path in there)


@pytest.mark.parametrize("forged", [{"etag": '"other"'}, {"size_bytes": 1}, {"inode": 1}, {"computed": "AAAAAA=="}])
def test_a_worker_that_reports_another_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged: dict[str, str | int]
) -> None:
    """The coordinator compares for itself: what is not what was listed is not published, but fetched once more."""
    real = BatchJob.ended

    def ended(self: BatchJob, worker: int, message: BatchEnded) -> object:
        told = [msgspec.structs.replace(one, **forged) for one in message.landed]
        return real(self, worker, msgspec.structs.replace(message, landed=told))

    monkeypatch.setattr(BatchJob, "ended", ended)
    with running_rig(tmp_path) as rig:
        fill(rig.server)
        assert all(one.ok for one in run(rig, tmp_path / "out").values())
        assert restored(tmp_path / "out") == BODIES
        assert len(rig.server.requests_for("GetObject")) == 2 * COUNT
