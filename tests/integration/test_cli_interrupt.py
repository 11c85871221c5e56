"""Ctrl-C and its like: soon, clean, and with the truth about what is done."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bulkhaul.engine.pool.forkserver_process import ForkserverProcess
from tests.engines import PART_BYTES, descendants, eventually, is_alive, temp_files
from tests.faultserver import Fault, FaultServer, Latency, Stall, StoredObject, generated_object
from tests.integration.command import lines, start
from tests.patience import PATIENCE_S, SOON_S

pytestmark = pytest.mark.usefixtures("real_workers")

LARGE = {"bucket/key": generated_object(16 * PART_BYTES)}
STALLED = Stall(after_bytes=100, attempt="every")


@dataclass(slots=True)
class Running:
    """A command in the middle of its work, and its workers."""

    process: subprocess.Popen[str]
    children: list[int]
    server: FaultServer
    began_s: float = 0.0

    def interrupt(self, number: int = signal.SIGINT) -> None:
        """Send a signal to the command alone."""
        self.began_s = self.began_s or time.monotonic()
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str, str, float]:
        """Return its exit code, what it printed, and the seconds since the signal; nobody of it is left."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        seconds = time.monotonic() - self.began_s
        eventually(lambda: not [pid for pid in self.children if is_alive(pid)], "all its processes are gone")
        return self.process.returncode, out, err, seconds


@contextmanager
def in_the_middle(
    words: list[str],
    target: Path,
    *faults: Fault,
    objects: dict[str, bytes | StoredObject] | None = None,
    operation: str = "GetObject",
    requests: int = 2,
    ignoring: str = "",
) -> Iterator[Running]:
    """Run ``cp --json`` until the server has so many requests of an operation."""
    with FaultServer(objects or dict(LARGE), faults) as server:
        before = set(descendants())
        process = start("cp", "--json", "--endpoint-url", server.endpoint_url, *words, target, ignoring=ignoring)
        try:
            server.wait_for(lambda it: len(it.requests_for(operation)) >= requests)
            yield Running(process, sorted(set(descendants()) - before), server)
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=["INT", "TERM", "HUP"]
)
def test_once(tmp_path: Path, number: int, code: int) -> None:
    """One signal in the middle of a stalled object: gone within 2 s, no file, no process, the right exit code."""
    with in_the_middle(["s3://bucket/key"], tmp_path, STALLED) as running:
        assert temp_files(tmp_path)
        running.interrupt(number)
        status, out, err, seconds = running.ended()
    assert status == code
    assert seconds < SOON_S
    assert os.listdir(tmp_path) == []
    (told,), summary = lines(out)
    assert (summary["success"], summary["planned"], summary["failed"]) == (False, 1, 1)
    assert (told["type"], err) == ("error", "")
    assert told["error"]["message"].startswith(f"interrupted by {signal.Signals(number).name}; 1 planned object not ")


def test_twice(tmp_path: Path) -> None:
    """The second signal ends it at once, with all its processes."""
    with in_the_middle(["s3://bucket/key"], tmp_path, STALLED) as running:
        running.interrupt()
        running.interrupt(signal.SIGTERM)  # a second SIGINT would be one with the first until that is heard
        status, out, _, seconds = running.ended()
    assert (status, out) == (130, "")
    assert seconds < SOON_S


def test_ignored_from_the_start(tmp_path: Path) -> None:
    """Under nohup, or as a script's background job, a command goes on: what was ignored at its start stays ignored."""
    go_on = threading.Event()
    held = Stall(after_bytes=100, attempt="every", until=go_on)
    with in_the_middle(["s3://bucket/key"], tmp_path, held, ignoring="INT HUP") as running:
        for number in (signal.SIGINT, signal.SIGHUP) * 2:
            running.interrupt(number)
        go_on.set()
        status, out, err, _ = running.ended()
    assert (status, err) == (0, "")
    assert lines(out)[1]["verified"] == 1
    assert (tmp_path / "key").stat().st_size == 16 * PART_BYTES


def test_not_ignored_with_the_others(tmp_path: Path) -> None:
    """Under nohup, or as a script's background job, SIGTERM still ends a command, with its file and all processes."""
    with in_the_middle(["s3://bucket/key"], tmp_path, STALLED, ignoring="INT HUP") as running:
        running.interrupt(signal.SIGTERM)
        status, out, _, seconds = running.ended()
    assert (status, "interrupted by SIGTERM" in out, os.listdir(tmp_path)) == (143, True, [])
    assert seconds < SOON_S


def test_many(tmp_path: Path) -> None:
    """Interrupted among many objects, what was verified stays and is told; the rest is counted as failed."""
    objects: dict[str, bytes | StoredObject] = {f"bucket/p/{number:03}": b"x" * 1000 for number in range(300)}
    stalled = Stall(after_bytes=100, attempt="every", key="p/2*")
    words = ["--recursive", "s3://bucket/p/"]
    with in_the_middle(words, tmp_path, stalled, objects=objects, requests=208) as running:
        running.interrupt()
        status, out, _, seconds = running.ended()
    (*told, interruption), summary = lines(out)
    assert (status, interruption["type"]) == (130, "error")
    assert seconds < SOON_S
    assert temp_files(tmp_path) == []
    for line in told:
        assert Path(line["destination"]).read_bytes() == b"x" * 1000
    assert summary["verified"] == len(told)
    assert summary["failed"] > 0


@pytest.mark.parametrize(
    ("words", "operation"),
    [
        (["s3://bucket/key"], "HeadObject"),
        (["--recursive", "s3://bucket/p/"], "ListObjectsV2"),
        (["--dry-run", "s3://bucket/key"], "HeadObject"),
        (["--dry-run", "--recursive", "s3://bucket/p/"], "ListObjectsV2"),
    ],
)
def test_before_any_byte(tmp_path: Path, words: list[str], operation: str) -> None:
    """A question that is never answered does not keep the command from leaving."""
    slow = Latency(operation=operation, seconds=30)
    with in_the_middle(words, tmp_path, slow, operation=operation, requests=1) as running:
        running.interrupt()
        status, out, err, seconds = running.ended()
    assert status == 130, f"after {seconds} s: {out}{err}"
    assert seconds < SOON_S
    assert os.listdir(tmp_path) == []


def test_reader_that_pauses(tmp_path: Path) -> None:
    """A full pipe on stdout does not keep the command from hearing Ctrl-C."""
    objects: dict[str, bytes | StoredObject] = {f"bucket/p/{number:04}": b"x" * 10 for number in range(1200)}
    words = ["--recursive", "s3://bucket/p/"]
    with in_the_middle(words, tmp_path, objects=objects, requests=600) as running:
        running.interrupt()
        assert running.process.wait(PATIENCE_S) == 130
    assert temp_files(tmp_path) == []


def test_during_the_imports(tmp_path: Path) -> None:
    """Ctrl-C while the command is still starting ends it as any other one does, from its first lines on."""
    for delay_s in (0.0, 0.05, 0.15, 0.3):
        before = set(descendants())
        process = start("cp", "--endpoint-url", "http://127.0.0.1:9", "s3://bucket/key", tmp_path / "out")
        # By then it is its own master; before, Python itself is starting, and speaks for itself.
        eventually(lambda b=before: len(set(descendants()) - b) > 1, "no forkserver is started")  # type: ignore[misc]
        time.sleep(delay_s)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 130
        assert "Traceback" not in err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_forkserver_leaves_signals_to_its_parent(capfd: pytest.CaptureFixture[str], number: signal.Signals) -> None:
    """A signal to the terminal's processes, however early, neither ends the forkserver nor makes it speak."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    forkserver = ForkserverProcess()
    forkserver.process.send_signal(number)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before, "the parent hears its signals as before"
    status = Path(f"/proc/{forkserver.process.pid}/status")
    eventually(lambda: "SigBlk:\t0000000000000000" in status.read_text(), "it ignores them, and blocks none")
    forkserver.control.close()
    assert forkserver.process.wait(PATIENCE_S) == 0
    assert capfd.readouterr().err == ""
