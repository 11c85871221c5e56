"""Workers and the forkserver die or fall silent in the middle of a transfer: exact bytes, or a typed error."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.model.settings import Timeouts
from bulkhaul.testing.faultserver.faults import Reception
from tests.engines import (
    PART_BYTES,
    Rig,
    assert_nothing_held,
    descendants,
    eventually,
    is_alive,
    running_rig,
    temp_files,
)
from tests.faultserver import Exchange, Fault, Stall, make_object
from tests.integration.stolen import channel_of
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")

PARTS = 8
SIZE_BYTES = PARTS * PART_BYTES
BODY = random.Random(21).randbytes(SIZE_BYTES)
STORED = make_object(BODY, part_size_bytes=4 * PART_BYTES, algorithm="CRC64NVME")
# The parts that the two workers are held in, one each.
HELD = (3 * PART_BYTES, 4 * PART_BYTES)
#: Waits that do not run out by themselves in these tests.
PATIENT = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=30.0)

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


@dataclass(frozen=True, kw_only=True)
class Witness(Fault):
    """Changes nothing, but notes of each request that it hits whether a process is dead when that arrives."""

    pid: int
    found_dead: list[bool] = field(default_factory=list)

    def receive(self, exchange: Exchange, reception: Reception) -> None:
        """Look."""
        self.found_dead.append(not is_alive(self.pid))


@contextmanager
def two_connections(folder: Path, **settings: Any) -> Iterator[Rig]:
    """Two workers with one connection each, so that each holds exactly one part at a time."""
    chosen = {"concurrency": 2, "timeouts": PATIENT, **settings}
    with running_rig(folder, **chosen) as rig:
        yield rig


def begin(rig: Rig, *faults: Fault) -> tuple[str, Future[TransferResult]]:
    """Begin to restore STORED under faults; returns its key and the future of its result."""
    key, _ = rig.prepare(STORED, *faults)
    (rig.folder / key).mkdir(parents=True)
    return key, rig.engine.submit(f"s3://bucket/{key}", rig.folder / key / "restored")


def hold(rig: Rig, *, until: threading.Event | None) -> tuple[str, Future[TransferResult]]:
    """Begin a restore and return when both workers are in the middle of a part, until an event or for ever."""
    key, future = begin(rig, *(Stall(start=at, after_bytes=PART_BYTES // 2, until=until) for at in HELD))
    half = PART_BYTES // 2
    rig.server.wait_for(
        lambda s: [get.bytes_sent for get in s.requests_for("GetObject", key) if get.faults] == [half] * 2
    )
    return key, future


def attempts(rig: Rig, key: str) -> dict[int, int]:
    """Return how often each part was asked for, by where it begins."""
    found: dict[int, int] = {}
    for get in rig.server.requests_for("GetObject", key):
        assert get.range is not None
        part = (get.range[1] - 1) // PART_BYTES * PART_BYTES
        found[part] = max(found.get(part, 0), get.attempt)
    return found


def assert_exact(rig: Rig, key: str, future: Future[TransferResult]) -> TransferResult:
    """The restore succeeds, with the stored bytes, and holds nothing any more."""
    result = future.result(timeout=PATIENCE_S)
    assert (rig.folder / key / "restored").read_bytes() == BODY
    assert result.integrity == "checksum"
    assert_nothing_held(rig.engine, rig.folder)
    return result


def assert_gone(rig: Rig, key: str) -> None:
    """A failure left neither a destination nor a temp file."""
    assert list((rig.folder / key).iterdir()) == []
    assert_nothing_held(rig.engine, rig.folder)


@pytest.mark.parametrize(("transport", "landing"), [("fast", "mapped"), ("sdk", "written")])
def test_one_worker_is_killed(tmp_path: Path, transport: str, landing: str) -> None:
    """SIGKILL of a worker costs exactly its unfinished part: nothing else is fetched again."""
    with two_connections(tmp_path, transport=transport, landing=landing) as rig:
        go_on = threading.Event()
        key, future = hold(rig, until=go_on)
        os.kill(rig.engine.worker_pids[0], signal.SIGKILL)
        go_on.set()
        result = assert_exact(rig, key, future)
        counts = attempts(rig, key)
        assert sorted(counts[at] for at in HELD) == [1, 2]
        assert all(count == 1 for at, count in counts.items() if at not in HELD)
        assert result.retries == 1
        again = [get for get in rig.server.requests_for("GetObject", key) if get.attempt == 2]
        # What the dead one had received counts as never received.
        assert [get.range for get in again if get.range and get.range[0] in HELD] == [get.range for get in again]


@BOTH
def test_both_workers_are_killed(tmp_path: Path, transport: str) -> None:
    """SIGKILL of all workers at once costs both parts, and new workers finish the transfer."""
    with two_connections(tmp_path, transport=transport) as rig:
        key, future = hold(rig, until=None)
        for pid in rig.engine.worker_pids:
            os.kill(pid, signal.SIGKILL)
        assert_exact(rig, key, future)
        assert {at for at, count in attempts(rig, key).items() if count > 1} == set(HELD)


@BOTH
def test_stopped_worker(tmp_path: Path, transport: str) -> None:
    """A worker that falls silent (SIGSTOP) is killed and dead before its part is asked for again."""
    quick = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=3.0)
    with two_connections(tmp_path, transport=transport, timeouts=quick) as rig:
        go_on = threading.Event()
        key, future = hold(rig, until=go_on)
        witness = Witness(key=key, attempt=2, pid=rig.engine.worker_pids[0])
        rig.server.add_fault(witness)
        os.kill(witness.pid, signal.SIGSTOP)
        eventually(lambda: not is_alive(witness.pid), "the silent worker lives on")
        go_on.set()
        assert_exact(rig, key, future)
        assert witness.found_dead == [True]


def test_every_worker_dies(tmp_path: Path) -> None:
    """When each new worker dies as well, the transfer ends in WorkerDied once the budget is spent."""
    with two_connections(tmp_path) as rig:
        stopping = threading.Event()
        killed: set[int] = set()
        killing = threading.Thread(target=kill_all, args=(rig, stopping, killed))
        _, future = hold(rig, until=None)
        killing.start()
        with pytest.raises(errors.WorkerDied, match="SIGKILL"):
            future.result(timeout=PATIENCE_S)
        stopping.set()
        killing.join(PATIENCE_S)
        assert 2 < len(killed) < 20
        eventually(lambda: temp_files(tmp_path) == [], "a temp file is left")


def kill_all(rig: Rig, stopping: threading.Event, killed: set[int]) -> None:
    """Kill every worker as soon as it is seen, until told to stop."""
    while not stopping.is_set():
        for pid in rig.engine.worker_pids:
            if pid not in killed and is_alive(pid):
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def test_part_that_kills_two_workers(tmp_path: Path) -> None:
    """A part that was being received when two workers died is poison: its transfer fails, the next one works."""
    # One worker alone: with two, whatever part the other one held at each kill would be as guilty.
    with two_connections(tmp_path, workers=1, concurrency=1) as rig:
        key, future = begin(rig, Stall(start=HELD[0], attempt="every"))
        for attempt in (1, 2):
            rig.server.wait_for(
                lambda s, n=attempt: any(r.attempt == n and r.faults for r in s.requests_for("GetObject", key))  # type: ignore[misc]
            )
            for pid in rig.engine.worker_pids:
                os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.WorkerDied, match="part 4"):
            future.result(timeout=PATIENCE_S)
        assert_gone(rig, key)
        key, future = begin(rig)
        assert_exact(rig, key, future)


def test_forkserver_is_killed(tmp_path: Path) -> None:
    """Without its forkserver an engine starts another one, and the transfer goes on."""
    with two_connections(tmp_path) as rig:
        key, future = hold(rig, until=None)
        workers = rig.engine.worker_pids
        os.kill(parent_of(workers[0]), signal.SIGKILL)
        assert_exact(rig, key, future)
        assert not set(workers) & set(rig.engine.worker_pids)
        eventually(lambda: not any(is_alive(pid) for pid in workers), "workers of the dead forkserver live on")


def test_forkserver_is_stopped_and_a_worker_dies(tmp_path: Path) -> None:
    """A worker that is dead counts as dead although nobody reaps it; its forkserver is replaced, and all goes on."""
    with two_connections(tmp_path) as rig:
        key, future = hold(rig, until=None)
        workers = rig.engine.worker_pids
        forkserver = parent_of(workers[0])
        os.kill(forkserver, signal.SIGSTOP)
        began_s = time.monotonic()
        os.kill(workers[0], signal.SIGKILL)
        assert_exact(rig, key, future)
        assert time.monotonic() - began_s < PATIENCE_S  # the deadlines of parts and of questions are far beyond it
        assert not is_alive(forkserver)
        eventually(lambda: not any(is_alive(pid) for pid in workers), "workers of the dead forkserver live on")


def test_forkserver_is_stopped_before_it_forks(tmp_path: Path) -> None:
    """A forkserver that never answers is replaced when its workers are not ready in time."""
    others = set(descendants())  # engines that earlier tests share until the program ends
    with two_connections(tmp_path, timeouts=Timeouts(start_s=2.0)) as rig:
        (forkserver,) = [pid for pid in descendants() if parent_of(pid) == os.getpid() and pid not in others]
        os.kill(forkserver, signal.SIGSTOP)
        key, future = begin(rig)
        assert_exact(rig, key, future)
        assert not is_alive(forkserver)


def test_forkservers_deaths_are_not_the_parts(tmp_path: Path) -> None:
    """Workers that were well and had to go with their forkserver say nothing about the parts that they held."""
    with two_connections(tmp_path) as rig:
        key, future = begin(rig, *(Stall(start=at, attempt=attempt) for at in HELD for attempt in (1, 2, 3)))
        for attempt in (1, 2, 3):
            rig.server.wait_for(
                lambda s, n=attempt: (  # type: ignore[misc]
                    sum(r.attempt == n and bool(r.faults) for r in s.requests_for("GetObject", key)) == 2
                )
            )
            os.kill(parent_of(rig.engine.worker_pids[0]), signal.SIGKILL)
        assert_exact(rig, key, future)


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("frame", [b"\xc1not a message", b"\x80", b"x" * 140_000], ids=["garbage", "untagged", "long"])
def test_malformed_frame(tmp_path: Path, frame: bytes) -> None:
    """A worker that sends what is no message is killed, and its part goes to another one (row 45)."""
    with two_connections(tmp_path) as rig:
        key, future = hold(rig, until=None)
        first, second = rig.engine.worker_pids
        with channel_of(first) as voice:
            voice.setblocking(True)
            voice.send(frame)
        eventually(lambda: not is_alive(first), "the liar lives on")
        os.kill(second, signal.SIGKILL)  # it is held for ever
        assert_exact(rig, key, future)


def test_idle_workers_die(tmp_path: Path) -> None:
    """Deaths between transfers are made good before the next one needs the workers."""
    with two_connections(tmp_path) as rig:
        for _ in range(2):
            key, future = begin(rig)
            assert_exact(rig, key, future)
            for pid in rig.engine.worker_pids:
                os.kill(pid, signal.SIGKILL)
        key, future = begin(rig)
        assert_exact(rig, key, future)


def test_deaths_do_not_add_up_over_a_long_run(tmp_path: Path) -> None:
    """A worker lost now and then never ends an engine that gets on with its work between the losses."""
    with two_connections(tmp_path) as rig:
        for _ in range(6):
            go_on = threading.Event()
            key, future = hold(rig, until=go_on)
            os.kill(rig.engine.worker_pids[0], signal.SIGKILL)
            go_on.set()
            assert_exact(rig, key, future)


def test_no_process_is_left_of_many_deaths(tmp_path: Path) -> None:
    """Dead workers are reaped: no zombie stays while the engine runs."""
    before = set(descendants())
    with two_connections(tmp_path) as rig:
        for _ in range(2):
            key, future = hold(rig, until=None)
            for pid in rig.engine.worker_pids:
                os.kill(pid, signal.SIGKILL)
            assert_exact(rig, key, future)
        eventually(lambda: len(set(descendants()) - before) == 3, "more than a forkserver and two workers is there")
