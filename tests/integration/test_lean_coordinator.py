"""A coordinator starts what its work needs and no more: processes where a request is going to be made, parts in use.

A ``sitecustomize`` of the test's own writes down, in the first process alone, each process that it starts, and in the
end what it has imported.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from bulkhaul import Engine, errors
from tests.engines import PART_BYTES, aws_environment, descendants, eventually, is_alive, keys, serving
from tests.faultserver import FaultServer, Stall, make_object
from tests.integration.command import arguments, environment, run, stream
from tests.integration.lean import HEAVY, hooked, serving_a_few_objects
from tests.patience import PATIENCE_S, SOON_S

pytestmark = pytest.mark.usefixtures("real_workers")

HOOK = """
import os, sys

def first():
    return os.environ["LEAN_FIRST"] == str(os.getpid())

def noted(event, arguments):
    if event in ("os.fork", "os.posix_spawn", "subprocess.Popen") and first():
        with open(os.environ["LEAN_LOG"], "a") as log:
            log.write(f"start {event}\\n")

def leave(status, leave=os._exit):
    if first():
        with open(os.environ["LEAN_LOG"], "a") as log:
            log.writelines(f"import {name}\\n" for name in sys.modules)
    leave(status)

if "LEAN_LOG" in os.environ:
    os.environ.setdefault("LEAN_FIRST", str(os.getpid()))
    sys.addaudithook(noted)
    os._exit = leave
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with a few small objects."""
    with serving_a_few_objects() as started:
        yield started


class Watched:
    """What the first process of a program has started and imported."""

    def __init__(self, folder: Path, server: FaultServer) -> None:
        self._log = folder / "log"
        self.variables = hooked(folder, HOOK, self._log, server)

    @property
    def started(self) -> list[str]:
        """How each process was started, in order."""
        return [line.removeprefix("start ") for line in self._lines if line.startswith("start ")]

    @property
    def imported(self) -> set[str]:
        """The modules that were there at the end, of a command."""
        found = {line.removeprefix("import ") for line in self._lines if line.startswith("import ")}
        assert "bulkhaul.cli.main" in found, "the hook works"
        return found

    @property
    def _lines(self) -> list[str]:
        return self._log.read_text().splitlines()


@pytest.fixture
def watched(tmp_path: Path, server: FaultServer) -> Watched:
    """Watch what is run with its variables."""
    return Watched(tmp_path, server)


NOTHING_TO_ASK = [
    (("--version",), 0),
    (("--help",), 0),
    (("cp", "--help"), 0),
    (("cp", "--nonsense", "a", "s3://bucket/k"), 2),
    (("cp", "a", "b"), 2),
    (("ls", "./bucket"), 2),
    (("cp", "{folder}/missing", "s3://bucket/up"), 1),
    (("cp", "--dry-run", "{file}", "s3://bucket/up"), 0),
    (("cp", "--dry-run", "-r", "{folder}/files", "s3://bucket/up/"), 0),
]


def name_of(value: object) -> str | None:
    """Return the name of a command line among the parameters of a test."""
    return " ".join(value).replace("{folder}", ".") if isinstance(value, tuple) else None


@pytest.mark.parametrize(("words", "status"), NOTHING_TO_ASK, ids=name_of)
def test_what_asks_for_nothing_starts_no_process(
    watched: Watched, server: FaultServer, tmp_path: Path, words: tuple[str, ...], status: int
) -> None:
    """What ends before any request has neither a forkserver nor a worker to wait for."""
    (tmp_path / "files").mkdir()
    file = tmp_path / "files" / "file"
    file.write_bytes(b"x")
    asked = len(server.requests)
    done = run(*(word.format(folder=tmp_path, file=file) for word in words), variables=watched.variables)
    assert done.returncode == status, done.stderr
    assert watched.started == []
    assert len(server.requests) == asked


USED = [
    (("cp", "s3://bucket/one", "{folder}/one"), {"download"}),
    (("cp", "{file}", "s3://bucket/up"), {"upload"}),
    (("ls", "s3://bucket/"), set()),
    (("head", "s3://bucket/one"), set()),
    (("presign", "s3://bucket/one"), set()),
    (("rm", "s3://bucket/two"), set()),
    (("cat", "s3://bucket/one"), {"stream", "download", "upload"}),
    (("cp", "s3://bucket/one", "s3://bucket/copied"), {"copy"}),
]
DIRECTIONS = ("download", "upload", "stream", "copy", "relay")


@pytest.mark.parametrize(("words", "used"), USED, ids=name_of)
def test_a_command_starts_one_process_and_imports_what_it_uses(
    watched: Watched, tmp_path: Path, words: tuple[str, ...], used: set[str]
) -> None:
    """It forks its forkserver, which forks the workers; of the directions of transfer it has those that it uses."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    done = run(*(word.format(folder=tmp_path, file=file) for word in words), variables=watched.variables)
    assert done.returncode == 0, done.stderr
    assert watched.started == ["os.fork"]
    assert watched.imported & HEAVY == set()
    assert {name for name in DIRECTIONS if f"bulkhaul.engine.transfers.{name}" in watched.imported} == used


def test_a_stream_imports_what_it_uses(watched: Watched) -> None:
    """An upload of stdin likewise."""
    done = stream("pipe", "s3://bucket/piped", given=b"y" * 1000, variables=watched.variables)
    assert done.returncode == 0, done.stderr
    assert watched.started == ["os.fork"]
    assert watched.imported & HEAVY == set()


PROGRAM = """
import sys
from bulkhaul import Engine
with Engine() as engine:
    if sys.argv[1:]:
        engine.download("s3://bucket/one", sys.argv[1])
"""


@pytest.mark.parametrize("asked", [False, True])
def test_a_program_is_never_forked(watched: Watched, tmp_path: Path, asked: bool) -> None:
    """Its engine starts a forkserver by exec when it is first asked for something, and nothing before."""
    words = [str(tmp_path / "restored")] if asked else []
    before = set(descendants())
    variables = environment(**watched.variables)
    done = subprocess.run([sys.executable, "-c", PROGRAM, *words], env=variables, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0
    assert watched.started == ["os.posix_spawn"] * asked
    assert not [pid for pid in set(descendants()) - before if is_alive(pid)]


def test_an_engine_that_is_closed_while_its_workers_start_leaves_nothing(tmp_path: Path) -> None:
    """Whatever its forkserver is doing just then, importing or forking, close() returns when all of it is gone."""
    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "key", make_object(b"body"))
        before = set(descendants())
        for pause_s in (0.0, 0.01, 0.05, 0.1, 0.15, 0.2):
            with Engine(endpoint_url=server.endpoint_url, workers=2) as engine:
                futures = [engine.submit("s3://bucket/key", tmp_path / f"{number}") for number in range(6)]
                eventually(lambda: set(descendants()) > before, "nothing was started")
                time.sleep(pause_s)  # they come some way; how far does not matter
            assert set(descendants()) <= before
            assert all(future.done() for future in futures)


def test_a_forkserver_that_is_stuck_keeps_no_worker_alive(tmp_path: Path) -> None:
    """It cannot reap them, and is killed as well: close() returns when they are dead."""
    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "key", make_object(b"body"))
        before = set(descendants())
        with Engine(endpoint_url=server.endpoint_url, workers=2) as engine:
            engine.download("s3://bucket/key", tmp_path / "restored")
            (worker,) = engine.worker_pids
            (forkserver,) = set(descendants()) - before - {worker}
            os.kill(forkserver, signal.SIGSTOP)
            os.kill(worker, signal.SIGSTOP)  # it does not end by itself either
            began_s = time.monotonic()
        assert not is_alive(worker)
        assert set(descendants()) <= before
        assert time.monotonic() - began_s < SOON_S


def test_one_worker_for_one_object_and_more_for_more(tmp_path: Path) -> None:
    """The first part that finds no connection free brings the second worker."""
    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "small", make_object(b"body"))
        server.store.put("bucket", "large", make_object(bytes(6 * PART_BYTES)))
        with Engine(endpoint_url=server.endpoint_url, workers=2, part_size_bytes=PART_BYTES) as engine:
            assert engine.worker_pids == []
            for _ in range(3):
                engine.download("s3://bucket/small", tmp_path / "small")
                assert len(engine.worker_pids) == 1
            engine.download("s3://bucket/large", tmp_path / "large")
            eventually(lambda: len(engine.worker_pids) == 2, "no second worker came")


def test_the_forkserver_of_a_command_holds_nothing_of_it(tmp_path: Path) -> None:
    """Pipes that the command was given end with it: its forkserver and workers keep none of them, and read no stdin."""
    reading, writing = os.pipe()
    with serving() as server:
        server.store.put("bucket", "key", make_object(bytes(4 * PART_BYTES)))
        server.add_fault(Stall(key="key", after_bytes=1000))
        before = set(descendants())
        process = subprocess.Popen(
            arguments("cp", "--endpoint-url", server.endpoint_url, "s3://bucket/key", tmp_path / "restored"),
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(writing,),
        )
        os.close(writing)
        with process:
            server.wait_for(lambda s: any(get.faults and get.bytes_sent for get in s.requests_for("GetObject", "key")))
            others = set(descendants()) - before - {process.pid}
            assert len(others) >= 2
            held = {os.readlink(f"/proc/self/fd/{reading}"), *map(target_of, (process.stdin, process.stdout))}
            for pid in others:
                open_ = {name: os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")}
                assert held & set(open_.values()) == set(), open_
                assert (open_["0"], open_["1"]) == (os.devnull, os.devnull)
            process.kill()
            assert os.read(reading, 1) == b"", "nobody holds the pipe any more"
        eventually(lambda: not any(map(is_alive, others)), "they outlive the command")
    os.close(reading)


def target_of(file: IO[bytes] | None) -> str:
    """Return what a file of this process leads to."""
    assert file is not None
    return os.readlink(f"/proc/self/fd/{file.fileno()}")


def test_a_platform_that_can_run_no_workers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Although no worker is needed yet: the engine cannot be entered."""
    monkeypatch.delattr(os, "pidfd_open")
    with pytest.raises(errors.Unsupported, match=r"Linux 5\.3"), Engine():
        pass


def test_workers_have_the_environment_in_which_the_engine_was_entered(tmp_path: Path) -> None:
    """What the program does to its variables before the first worker is needed does not matter."""
    with serving() as server, ExitStack() as stack:
        server.store.put("bucket", "key", make_object(b"body"))
        with aws_environment(keys()):
            engine = stack.enter_context(Engine(endpoint_url=server.endpoint_url))
        with aws_environment({}):
            assert engine.download("s3://bucket/key", tmp_path / "restored").ok
