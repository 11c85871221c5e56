"""The operating system gives no more descriptors, processes or threads: a typed error with its remedy, never a hang."""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from bulkhaul import errors
from bulkhaul.engine.messages.channel import receive_now, send_now
from bulkhaul.engine.messages.messages import Fork
from bulkhaul.model.objects import ObjectRef
from tests.engines import PART_BYTES, assert_nothing_held, descendants, eventually, is_alive, running_rig, serving
from tests.faultserver import Fault, FaultServer, Stall, make_object
from tests.integration import command
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")

BODY = random.Random(61).randbytes(6 * PART_BYTES)
STORED = make_object(BODY, part_size_bytes=2 * PART_BYTES, algorithm="CRC64NVME")


@contextmanager
def at_most_open(pid: int, files: int) -> Iterator[None]:
    """Let a process open no file with a number from ``files`` on; what it has open stays open."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def held_copy(server: FaultServer, destination: Path) -> Iterator[tuple[subprocess.Popen[str], list[int], int]]:
    """Run ``cp`` until both workers are in the middle of a part; yields it, its workers and its forkserver."""
    server.store.put("bucket", "key", STORED)
    server.add_fault(Stall(key="key", after_bytes=PART_BYTES // 2))
    words = ["cp", "--endpoint-url", server.endpoint_url, "--workers", "2", "--concurrency", "2"]
    with command.start(*words, "--part-size", str(PART_BYTES), "s3://bucket/key", destination) as process:
        try:
            server.wait_for(lambda s: sum(get.bytes_sent > 0 for get in s.requests_for("GetObject", "key")) >= 1)
            below = [pid for pid in descendants() if parent_of(pid) == process.pid]
            (forkserver,) = below
            workers = [pid for pid in descendants() if parent_of(pid) == forkserver]
            yield process, workers, forkserver
        finally:
            process.kill()


def parent_of(pid: int) -> int:
    """Return the parent of a process, 0 if there is no such process."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@pytest.mark.parametrize("victims", ["workers", "forkserver", "all"])
def test_no_descriptor_for_new_workers(tmp_path: Path, victims: str) -> None:
    """When workers die and there is no descriptor for others, the command says so and ends; no process is left."""
    with serving() as server, held_copy(server, tmp_path / "restored") as (process, workers, forkserver):
        with at_most_open(process.pid, 3):
            killed = {"workers": workers, "forkserver": [forkserver], "all": [forkserver, *workers]}[victims]
            for pid in killed:
                os.kill(pid, signal.SIGKILL)
            _, said = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1
        assert "ulimit -n" in said
        assert "Traceback" not in said
        eventually(lambda: not any(map(is_alive, [forkserver, *workers])), "processes are left")
        assert list(tmp_path.iterdir()) == []


def test_worker_without_room_for_a_lease(tmp_path: Path) -> None:
    """A worker that may open no more files refuses what it is given, lives on, and works again when it may."""
    with running_rig(tmp_path, workers=1, concurrency=1) as rig:
        rig.restore(BODY).succeeded()
        (worker,) = rig.engine.worker_pids
        with at_most_open(worker, 3):
            error = rig.restore(BODY).failed(errors.LocalError)
        assert "ulimit -n" in str(error)
        rig.restore(BODY).succeeded()
        assert rig.engine.worker_pids == [worker]


def test_worker_without_room_for_a_payload(tmp_path: Path) -> None:
    """A question whose memory did not come along is refused for what it is, and the worker lives on."""
    with running_rig(tmp_path, workers=1, concurrency=1) as rig:
        rig.restore(BODY).succeeded()
        (worker,) = rig.engine.worker_pids
        read = rig.engine.aio.control.read
        key, _ = rig.prepare(b"some bytes")
        with at_most_open(worker, 3), pytest.raises(errors.LocalError, match="ulimit -n"):
            rig.engine.run(read, ObjectRef("bucket", key))
        assert rig.engine.worker_pids == [worker]
        assert_nothing_held(rig.engine, tmp_path)


def test_forkserver_without_room_for_a_worker(tmp_path: Path) -> None:
    """A forkserver that cannot take a new worker's channel says so; the workers that it has go on working."""
    faults: list[Fault] = [Stall(start=PART_BYTES, after_bytes=PART_BYTES // 2, seconds=2.0)]
    with running_rig(tmp_path, workers=2, concurrency=2) as rig:
        rig.restore(BODY).succeeded()
        forkserver = parent_of(rig.engine.worker_pids[0])
        with at_most_open(forkserver, 3):
            os.kill(rig.engine.worker_pids[0], signal.SIGKILL)
            rig.restore(BODY, *faults).succeeded()
        assert is_alive(forkserver)


def test_no_worker_is_left_and_none_can_be_forked(tmp_path: Path) -> None:
    """The last worker is dead and the forkserver cannot take another one's channel: the error names the limit."""
    with running_rig(tmp_path, workers=1, concurrency=1) as rig:
        rig.restore(BODY).succeeded()
        (worker,) = rig.engine.worker_pids
        with at_most_open(parent_of(worker), 3):
            os.kill(worker, signal.SIGKILL)
            error = rig.restore(BODY).failed(errors.WorkerDied)
        assert "ulimit -n" in str(error)


def test_dropped_descriptors_are_no_malformed_frame() -> None:
    """A message whose descriptors found no room arrives without them, and so does the next one with all of them."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        decoder = msgspec.msgpack.Decoder(Fork)
        send_now(theirs, Fork(1), [theirs.fileno()])
        send_now(theirs, Fork(2), [theirs.fileno()])
        with at_most_open(os.getpid(), 3):
            assert receive_now(ours, decoder) == (Fork(1), [])
        received = receive_now(ours, decoder)
        assert received is not None
        message, descriptors = received
        assert message == Fork(2)
        for descriptor in descriptors:
            os.close(descriptor)
        assert len(descriptors) == 1


@pytest.mark.parametrize("files", [6, 7, 8])
def test_no_descriptor_to_begin_with(tmp_path: Path, files: int) -> None:
    """A command that cannot even start its forkserver says what limit to raise."""
    words = command.arguments("cp", "--endpoint-url", "http://127.0.0.1:9", "s3://bucket/key", tmp_path / "restored")
    done = subprocess.run(
        ["/bin/sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", *words],
        env=command.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "ulimit -n" in done.stderr
    assert os.strerror(errno.ENOSYS) not in done.stderr
    assert "Traceback" not in done.stderr


def as_user_with_at_most(processes: int, words: list[str]) -> list[str]:
    """Return a command line that runs ``words`` where its user may have so many more processes and threads.

    The limit does not hold for root: another user that has no process is taken then, with root's eyes for files.
    """
    if os.getuid() == 0:
        sight = "+dac_override"  # containers have no more
        user = ["setpriv", "--reuid", "54321", "--clear-groups", "--inh-caps", sight, "--ambient-caps", sight]
        return [*user, "/bin/sh", "-c", f'ulimit -u {processes}; exec "$@"', "sh", *words]
    held = sum(len(os.listdir(task)) for task in Path("/proc").glob("[0-9]*/task") if task.stat().st_uid == os.getuid())
    return ["/bin/sh", "-c", f'ulimit -u {held + processes}; exec "$@"', "sh", *words]


@pytest.mark.parametrize("processes", [1, 2, 4, 6, 8])
def test_few_processes_and_threads(tmp_path: Path, processes: int) -> None:
    """Wherever the limit of processes is met, the command says which one to raise, and leaves nothing behind."""
    tmp_path.chmod(0o777)
    with serving() as server:
        server.store.put("bucket", "key", STORED)
        words = command.arguments("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path / "restored")
        before = set(descendants())
        done = subprocess.run(
            as_user_with_at_most(processes, words),
            env=command.environment(HOME=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=command.LIMIT_S,
            check=False,
        )
        assert set(descendants()) <= before
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert done.returncode == 1
        assert "ulimit -u" in done.stderr
        assert list(tmp_path.iterdir()) == []
    else:
        assert (tmp_path / "restored").read_bytes() == BODY


def test_caller_ignores_the_ends_of_its_children(tmp_path: Path) -> None:
    """With SIGCHLD ignored, as by ``trap '' CHLD``, deaths of workers are told and made good all the same."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with running_rig(tmp_path, workers=1, concurrency=1) as rig:
            for _ in range(2):
                rig.restore(BODY).succeeded()
                os.kill(rig.engine.worker_pids[0], signal.SIGKILL)
            rig.restore(BODY).succeeded()
    finally:
        signal.signal(signal.SIGCHLD, before)
