"""What ends a benchmark early takes neither what was measured before, nor the deletion of what was made."""

from __future__ import annotations

import asyncio
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench.distant_server.launch import DistantServer, distant_server

from bulkhaul import AsyncEngine
from bulkhaul.benchmark import loading, spools
from bulkhaul.benchmark.op_log import Op, write
from bulkhaul.benchmark.results import Floors, Result, Run, Window
from bulkhaul.benchmark.sessions import measure
from bulkhaul.model.errors import DiskFull, OtherError, TransferError, WorkerDied
from bulkhaul.model.limits import MIB
from bulkhaul.model.workloads import Workload
from bulkhaul.testing.faults import refusal, slow_down
from bulkhaul.testing.faultserver.on_wire import Latency, Stall
from bulkhaul.testing.faultserver.proxy import FaultServer
from tests.integration.benchmark.measuring import Silent, measured, unwritten
from tests.integration.command import arguments, environment, run
from tests.integration.conftest import mounted
from tests.patience import PATIENCE_S

BUCKET = "bench"
URL = f"s3://{BUCKET}/"
SMALL = ("--size", "1KiB", "--objects", "20", "--concurrency", "4", "--duration", "1s")


@pytest.fixture(scope="module")
def store() -> Iterator[DistantServer]:
    """A server 10 ms away."""
    with distant_server(["--keep", "--latency-ms", "10"]) as running:
        yield running


@pytest.fixture
def server(store: DistantServer) -> Iterator[FaultServer]:
    """What stands before it, and misbehaves where a test says so."""
    with FaultServer(store.endpoint) as running:
        yield running


@pytest.fixture
def variables(server: FaultServer, tmp_path: Path) -> dict[str, str]:
    """The environment of commands."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_REGION": "us-east-1",
        "BULKHAUL_STATE_DIR": str(tmp_path / "state"),
    }


def keys(store: DistantServer) -> list[str]:
    """Return what is in the bucket."""
    with urllib.request.urlopen(f"{store.endpoint}/{BUCKET}?list-type=2", timeout=PATIENCE_S) as reply:  # noqa: S310 - it is on this machine
        return re.findall("<Key>(.*?)</Key>", reply.read().decode())


def begun(variables: dict[str, str], *words: str | Path) -> subprocess.Popen[str]:
    """Return a benchmark that has begun."""
    return subprocess.Popen(
        arguments("bench", "run", *words),
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def deleting(server: FaultServer, process: subprocess.Popen[str]) -> None:
    """Wait until a benchmark deletes what it has made."""
    wait_for(process, server, "DeleteObjects", 1)


def wait_for(process: subprocess.Popen[str], server: FaultServer, operation: str, count: int) -> None:
    """Wait until a benchmark has made so many requests of an operation."""
    deadline_s = time.monotonic() + PATIENCE_S
    while sum(request.operation == operation for request in server.requests) < count:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_signal_does_not_end_the_deletion(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """It goes on, which is said at once, and nothing is left; the result is there."""
    goes_on = threading.Event()
    with server.misbehaving(Stall(until=goes_on, operation="DeleteObjects", attempt="every", times=1)):
        process = begun(variables, "get", URL, *SMALL, "--out", tmp_path / "out")
        deleting(server, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        told = ""
        while "press Ctrl-C again" not in told:
            told = process.stderr.readline()
            assert told
        goes_on.set()
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGINT, stderr
    assert "bulkhaul bench clean s3://" in told
    assert keys(store) == []
    assert not list((tmp_path / "state" / "benchmarks").iterdir())
    assert "result.json, report.html" in stdout
    (measured,) = json.loads((tmp_path / "out" / "result.json").read_bytes())["runs"]
    assert measured["interrupted"] is False


def test_a_second_signal_ends_the_deletion(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """It says which command deletes what is left, and that one does."""
    goes_on = threading.Event()
    with server.misbehaving(Stall(until=goes_on, operation="DeleteObjects", attempt="every", times=1)):
        process = begun(variables, "get", URL, *SMALL, "--out", tmp_path / "out")
        deleting(server, process)
        for number in (signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.5)
        _, stderr = process.communicate(timeout=PATIENCE_S)
        goes_on.set()
    assert process.returncode == 128 + signal.SIGTERM, "the first one"
    said = stderr.splitlines()[-1]
    assert "what was made is left" in said
    (command,) = re.findall("`bulkhaul (.*?)`", said)
    assert keys(store) != [], "the record at least"
    assert run(*shlex.split(command), variables=variables).returncode == 0
    assert keys(store) == []


def test_a_deletion_that_fails_after_a_signal(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """Why nothing was deleted is said, and the command that is named deletes it."""
    with server.misbehaving(refusal("AccessDenied", times=100, operation="GetBucketVersioning")):
        process = begun(variables, "get", URL, *SMALL[:-1], "60s", "--json", "--out", tmp_path / "out")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "window"
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGINT, stderr
    (said,) = [line for line in stderr.splitlines() if "what was made is left, for" in line]
    assert "AccessDenied" in said
    codes = [line["error"]["code"] for line in map(json.loads, stdout.splitlines()) if line["type"] == "error"]
    assert codes == ["AccessDenied", "Cancelled"]
    (command,) = re.findall("`bulkhaul (.*?)`", said)
    assert len(keys(store)) == 21
    assert run(*shlex.split(command), variables=variables).returncode == 0
    assert keys(store) == []


def test_a_deletion_that_fails_after_a_failure(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """What ended the benchmark stays its error, and what is left is said beside it."""
    refused = refusal("AccessDenied", times=100, operation="PutObject", key="*/table/*")
    unlisted = refusal("AccessDenied", times=100, operation="GetBucketVersioning")
    with server.misbehaving(refused), server.misbehaving(unlisted):
        done = run("bench", "run", "get", URL, *SMALL, "--out", tmp_path / "out", variables=variables)
    assert done.returncode == 1
    first, last = [line for line in done.stderr.splitlines() if line.startswith("bulkhaul: ")]
    assert "what was made is left, for deleting it failed: " in first
    assert "could not be stored" in last
    assert run("bench", "clean", URL, variables=variables).returncode == 0
    assert keys(store) == []


def test_uploads_of_a_workload_file_that_are_broken_off(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """A signal leaves the record, for an upload may still be carried out, and says so."""
    task = {"action": "upload", "key": "upload/1", "size": 1000}
    fields = {"version": 2, "comment": "", "filesOnDisk": False, "checksum": None, "maxRepeatCount": 1}
    file = tmp_path / "load.run.json"
    file.write_text(json.dumps({**fields, "maxRepeatSecs": 600, "tasks": [task]}))
    with server.misbehaving(Latency(seconds=60, operation="PutObject", key="*/upload/1", attempt="every")):
        process = begun(variables, "--workload", file, URL)
        wait_for(process, server, "PutObject", 2)  # the record, and the upload
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGINT, stderr
    said, command = re.findall("(requests were broken off).*`bulkhaul (.*?)`", stderr)[0]
    assert [key for key in keys(store) if key.endswith("/benchmark.json")] != [], said
    assert run(*shlex.split(command), variables=variables).returncode == 0
    assert keys(store) == []


def test_reads_that_are_broken_off(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """Nothing comes of them later, so a signal leaves no record, here or in the bucket."""
    with server.misbehaving(Latency(seconds=60, operation="GetObject", attempt="every", key="*7")):
        process = begun(variables, "get", URL, *SMALL[:-1], "60s", "--json", "--out", tmp_path / "out")
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "window"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGINT, stderr
    assert "broken off" not in stderr
    assert keys(store) == []
    assert not list((tmp_path / "state" / "benchmarks").iterdir())


@pytest.mark.parametrize("command", ["prepare", "replay"])
def test_a_refusal_that_passes(
    store: DistantServer, server: FaultServer, variables: dict[str, str], tmp_path: Path, command: str
) -> None:
    """An object that the service would not take for a moment is stored again."""
    words: tuple[str | Path, ...] = ("prepare", URL, "--size", "1KiB", "--objects", "9")
    if command == "replay":
        log = [Op(0, "GET", "c", 1, 1000, "http://h", f"{number}", "", number, 0, 0, number + 9) for number in range(9)]
        write(tmp_path / "log.csv", log)
        words = ("replay", tmp_path / "log.csv", URL, "--out", tmp_path / "out")
    with server.misbehaving(slow_down(3, operation="PutObject", key="*/table/*")):
        done = run("bench", *words, variables=variables)
    assert done.returncode == 0, done.stderr
    if command == "prepare":
        assert len(keys(store)) == 10
        assert run("bench", "clean", done.stdout.strip(), variables=variables).returncode == 0
    else:
        (measured,) = json.loads((tmp_path / "out" / "result.json").read_bytes())["runs"]
        assert (measured["measured"][0]["done"], measured["failures"]) == (9, [])
    assert keys(store) == []


def test_an_interrupted_repeat_takes_nothing_of_the_first(
    store: DistantServer, variables: dict[str, str], tmp_path: Path
) -> None:
    """The first one is whole, in the result and on its page, and how much is there is said."""
    process = begun(variables, "get", URL, *SMALL, "--repeat", "3", "--out", tmp_path / "out")
    assert process.stdout is not None
    assert "run 1: " in process.stdout.readline()
    first = json.loads((tmp_path / "out" / "result.json").read_bytes())["runs"]
    assert [one["interrupted"] for one in first] == [False], "before the second one is over"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, stderr
    assert f"{tmp_path / 'out'}: result.json, report.html with 1 of 3 runs, and the beginning of run 2" in stdout
    runs = json.loads((tmp_path / "out" / "result.json").read_bytes())["runs"]
    assert (runs[0], [one["interrupted"] for one in runs]) == (first[0], [False, True])
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()
    assert keys(store) == []


def test_a_prepared_set_stays_whole(store: DistantServer, variables: dict[str, str], tmp_path: Path) -> None:
    """A run that was interrupted while it deleted objects of it leaves the next one all of them."""
    prepared = run("bench", "prepare", f"{URL}set/", "--size", "1KiB", "--objects", "60", variables=variables)
    url = prepared.stdout.strip()
    words = ("mixed", url, "--mix", "get=40,delete=40,put=20", "-c", "4", "--duration", "60s", "--json")
    process = begun(variables, *words, "--out", tmp_path / "one")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["done"]["delete"] > 0
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM, stderr
    table = f"{url.removeprefix(URL)}table/"
    assert len([key for key in keys(store) if key.startswith(table)]) < 60, "some were deleted"
    done = run(
        "bench", "run", "get", url, "-c", "4", "--duration", "1s", "--out", tmp_path / "two", variables=variables
    )
    assert done.returncode in (0, 3), done.stderr
    (measured,) = json.loads((tmp_path / "two" / "result.json").read_bytes())["runs"]
    assert measured["failures"] == []
    assert len([key for key in keys(store) if key.startswith(table)]) == 60
    assert "61 objects deleted" in run("bench", "clean", url, variables=variables).stdout  # and their record
    assert [key for key in keys(store) if key.startswith("set/")] == []


class Killing(Silent):
    """Kills a worker in the second run."""

    def __init__(self, engine: AsyncEngine) -> None:
        super().__init__()
        self._engine = engine

    async def window(self, number: int, window: Window) -> None:
        """Kill one, once."""
        if number == 2 and len(self._engine.worker_pids) == self._engine.settings.worker_count:
            os.kill(max(self._engine.worker_pids), signal.SIGKILL)


@pytest.mark.parametrize(("what", "error", "runs"), [("died", WorkerDied, 2), ("refused", OtherError, 1)])
def test_a_failed_repeat_takes_nothing_of_the_first(
    server: FaultServer, what: str, error: type[TransferError], runs: int
) -> None:
    """A worker dies in it, or nothing succeeds any more: the first one is told before, and it is whole."""
    told: list[Result] = []

    async def take(_: int, result: Result) -> None:
        told.append(result)
        if what == "refused":
            server.add_fault(refusal("AccessDenied", times=1_000_000, operation="GetObject"))

    async def work() -> None:
        async with AsyncEngine(endpoint_url=server.endpoint_url, region="us-east-1") as engine:
            listener: Any = Killing(engine) if what == "died" else Silent()
            workload = Workload(mix={"get": 1}, size="1KiB", objects=20, concurrency=4, duration_s=4, repeat=2)
            await measure(engine, [URL], workload, "test", listener, take)

    with pytest.raises(error):
        asyncio.run(work())
    assert [len(result.runs) for result in told] == [1, 2][:runs]
    assert [one.interrupted for one in told[-1].runs] == [False, True][:runs]
    assert sum(sum(window.done.values()) for window in told[0].runs[0].windows) > 20


def test_one_failure_among_long_bodies(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A load of which one request has failed, and none ended yet, goes on."""
    monkeypatch.setattr(loading, "HOPELESS_S", 0.5)
    workload = Workload(mix={"get": 1}, size="1KiB", objects=9, concurrency=4, duration_s=2, order="sequential")
    slow = Latency(seconds=2, operation="GetObject", key="*[1-9]", attempt="every", times=40)
    refused = refusal("AccessDenied", operation="GetObject", key="*0")

    class Hindered(Silent):
        async def probed(self, floors: Floors | None, why_not: str) -> None:
            """Have what follows refused once, and come late."""
            server.add_fault(refused)
            server.add_fault(slow)

    async def work() -> Run:
        async with AsyncEngine(endpoint_url=server.endpoint_url, region="us-east-1") as engine:
            (result,) = await measure(engine, [URL], workload, "test", Hindered(), unwritten)
            return result.runs[0]

    run = asyncio.run(work())
    assert ([one.code for one in run.failures], run.interrupted) == (["AccessDenied"], False)
    assert run.measured[0].done >= 3


class Filling(Silent):
    """Does something at the first second of the run."""

    def __init__(self, fill: Callable[[], None]) -> None:
        super().__init__()
        self._fill = fill

    async def window(self, number: int, window: Window) -> None:
        """Do it."""
        self._fill()


def ended_early(store: DistantServer, fill: Callable[[AsyncEngine], None]) -> tuple[TransferError, list[Result]]:
    """Return what ended a run of a minute, whose result holds what it measured, and which left no object."""
    told: list[Result] = []

    async def take(_: int, result: Result) -> None:
        told.append(result)

    async def work() -> None:
        async with AsyncEngine(endpoint_url=store.endpoint, region="us-east-1") as engine:
            workload = Workload(mix={"get": 1}, size="1KiB", objects=20, concurrency=1, duration_s=60)
            await measure(engine, [URL], workload, "test", Filling(lambda: fill(engine)), take)

    began_s = time.monotonic()
    with pytest.raises(TransferError) as caught:
        asyncio.run(work())
    assert time.monotonic() - began_s < 50, "a run takes a minute"
    ((run,),) = [result.runs for result in told]
    assert run.interrupted
    assert sum(sum(window.done.values()) for window in run.windows) > 20
    assert [key for key in keys(store) if not key.endswith("/benchmark.json")] == []
    return caught.value, told


def test_a_disk_that_fills_up(store: DistantServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A benchmark ends before the folder of temporary files is full, and says so."""
    folder = tmp_path / "small"
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with mounted(folder, "size=40m") as real:

        def fill(_: AsyncEngine) -> None:
            if not real:
                monkeypatch.setattr(spools, "LEAST_FREE_BYTES", 1 << 60)
            elif not (folder / "others").exists():
                (folder / "others").write_bytes(bytes(30 * MIB))

        error, _ = ended_early(store, fill)
        assert isinstance(error, DiskFull)
        assert "TMPDIR" in str(error)
        if real:
            assert shutil.disk_usage(folder).free > 5 * MIB


def test_a_record_that_cannot_be_written(store: DistantServer) -> None:
    """Where the limit of a file's size is what is reached first, one sentence says what file."""

    def fill(engine: AsyncEngine) -> None:
        for pid in engine.worker_pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))

    error, _ = ended_early(store, fill)
    assert "record of requests" in str(error)
    assert "TMPDIR" in str(error)
    assert "larger than this file system or the process limit allows" in str(error)


def test_no_room_from_the_beginning(store: DistantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is stored where the folder of temporary files is nearly full, and no record is left."""
    monkeypatch.setattr(spools, "LEAST_FREE_BYTES", 1 << 60)
    with pytest.raises(DiskFull, match="TMPDIR"):
        measured(store.endpoint, Workload(mix={"get": 1}), f"{URL}room/")
    assert [key for key in keys(store) if key.startswith("room/")] == []
