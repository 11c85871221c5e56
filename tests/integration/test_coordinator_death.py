"""The program that runs an engine is killed: nothing of it lives on, and the next run puts things right."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines import PART_BYTES, aws_environment, eventually, is_alive, keys, running_engine, serving, temp_files
from tests.faultserver import FaultServer, Stall, make_object
from tests.patience import PATIENCE_S, SOON_S

pytestmark = pytest.mark.usefixtures("real_workers")

BODY = random.Random(22).randbytes(6 * PART_BYTES)
STORED = make_object(BODY, part_size_bytes=4 * PART_BYTES, algorithm="CRC32")

# No `if __name__ == "__main__"`: a program need not have one.
PROGRAM = """
import sys
from bulkhaul import Engine
endpoint_url, path, part_bytes = sys.argv[1:]
with Engine(endpoint_url=endpoint_url, workers=2, part_size_bytes=int(part_bytes)) as engine:
    engine.download("s3://bucket/first", path + "-first")  # of so many parts that both workers are needed
    print(*engine.worker_pids, flush=True)
    engine.download("s3://bucket/key", path)
print("done", flush=True)
"""


@contextmanager
def program(server: FaultServer, path: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run PROGRAM until it is in the middle of its transfer; yields it with its workers and their forkserver."""
    server.store.put("bucket", "key", STORED)
    server.store.put("bucket", "first", STORED)
    command = [sys.executable, "-c", PROGRAM, server.endpoint_url, str(path), str(PART_BYTES)]
    with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            workers = [int(word) for word in process.stdout.readline().split()]
            assert len(workers) == 2
            yield process, [*workers, parent_of(workers[0])]
        finally:
            process.kill()


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until_stalled(server: FaultServer) -> None:
    """Return when the transfer is in the middle of a part that never ends."""
    server.wait_for(lambda s: any(get.faults and get.bytes_sent for get in s.requests_for("GetObject", "key")))


@pytest.mark.parametrize("stopped", [None, 0, 1], ids=["all-run", "one-stopped", "other-stopped"])
def test_coordinator_is_killed(tmp_path: Path, stopped: int | None) -> None:
    """Within a second of its SIGKILL every worker and the forkserver are gone, even a stopped one.

    The next run to the same destination is exact, and clears what the killed one left.
    """
    path = tmp_path / "restored"
    with serving() as server:
        server.add_fault(Stall(key="key", after_bytes=PART_BYTES // 2, start=PART_BYTES))
        with program(server, path) as (process, others):
            wait_until_stalled(server)
            if stopped is not None:
                os.kill(others[stopped], signal.SIGSTOP)
            process.kill()
            eventually(lambda: not any(map(is_alive, others)), f"{others} live on", timeout_s=SOON_S)
        assert len(temp_files(tmp_path)) == 1
        assert not path.exists()
        with running_engine(server.endpoint_url) as engine:
            result = engine.download("s3://bucket/key", path)
        assert (result.integrity, path.read_bytes() == BODY) == ("checksum", True)
        assert sorted(one.name for one in tmp_path.iterdir()) == ["restored", "restored-first"]


def test_a_living_run_keeps_its_temp_file(tmp_path: Path) -> None:
    """A second run to the same folder leaves the temp file of a first one alone, and both succeed."""
    path, go_on = tmp_path / "restored", threading.Event()
    with serving() as server:
        server.add_fault(Stall(key="key", after_bytes=PART_BYTES // 2, start=PART_BYTES, until=go_on))
        with program(server, path) as (process, _):
            wait_until_stalled(server)
            (theirs,) = temp_files(tmp_path)
            with running_engine(server.endpoint_url) as engine:
                engine.download("s3://bucket/key", tmp_path / "second")
            assert temp_files(tmp_path) == [theirs]
            go_on.set()
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
            assert process.wait(PATIENCE_S) == 0
        assert path.read_bytes() == (tmp_path / "second").read_bytes() == BODY
        assert temp_files(tmp_path) == []


def test_terminated_by_default(tmp_path: Path) -> None:
    """SIGTERM ends a program that does not care for it, and its workers with it."""
    with serving() as server:
        server.add_fault(Stall(key="key", after_bytes=PART_BYTES // 2, start=PART_BYTES))
        with program(server, tmp_path / "restored") as (process, others):
            wait_until_stalled(server)
            process.terminate()
            assert process.wait(PATIENCE_S) == -signal.SIGTERM
            eventually(lambda: not any(map(is_alive, others)), f"{others} live on", timeout_s=SOON_S)


def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C in a program that uses the engine ends it within seconds and leaves nothing behind."""
    with serving() as server:
        server.add_fault(Stall(key="key", after_bytes=PART_BYTES // 2, start=PART_BYTES))
        with program(server, tmp_path / "restored") as (process, others):
            wait_until_stalled(server)
            process.send_signal(signal.SIGINT)
            assert process.wait(SOON_S) in (1, -signal.SIGINT)
            eventually(lambda: not any(map(is_alive, others)), f"{others} live on", timeout_s=SOON_S)
        assert [path.name for path in tmp_path.iterdir()] == ["restored-first"]
