"""However a program leaves an engine, by callbacks, by Ctrl-C, by a fork or by forgetting it, it ends, and whole."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import AsyncEngine, errors
from bulkhaul.engine import lifetime as life
from bulkhaul.engine.loop.portal import Portal
from bulkhaul.model.results import Progress
from tests.engines import (
    PART_BYTES,
    QUICK,
    assert_nothing_held,
    aws_environment,
    descendants,
    eventually,
    keys,
    running_engine,
    running_rig,
    serving,
    temp_files,
)
from tests.faultserver import FaultServer, Latency, Stall, make_object
from tests.patience import PATIENCE_S, SOON_S
from tests.writing import KIB, WriteRig, running_write_rig

FORK_WARNS_NOT = ["-W", "ignore:This process:DeprecationWarning"]
"""From Python 3.12 on, a program with threads that forks is warned, rightly; what becomes of its engine is tested."""

pytestmark = pytest.mark.usefixtures("real_workers")

BODY = random.Random(91).randbytes(4 * PART_BYTES)
STORED = make_object(BODY, algorithm="CRC32C")
LAST_PART_LATE = Latency(start=3 * PART_BYTES, seconds=0.7)

#: What a callback may raise, and what the caller gets.
RAISED: dict[str, tuple[BaseException, type[BaseException]]] = {
    "SystemExit": (SystemExit(3), SystemExit),
    "KeyboardInterrupt": (KeyboardInterrupt(), KeyboardInterrupt),
    "CancelledError": (asyncio.CancelledError(), errors.OtherError),
    "GeneratorExit": (GeneratorExit(), errors.OtherError),
    "ValueError": (ValueError("no"), errors.OtherError),
    "NotFound": (errors.NotFound("mine"), errors.NotFound),
}
EACH = pytest.mark.parametrize(("raised", "expected"), RAISED.values(), ids=RAISED)


def raising(error: BaseException) -> Callable[[int], None]:
    """Return a callback that raises this as soon as anything has moved."""

    def moved(count: int) -> None:
        if count:
            raise error

    return moved


@EACH
def test_a_callback_that_ends_a_download(tmp_path: Path, raised: BaseException, expected: type[BaseException]) -> None:
    """The caller gets what ends a program as it is, the rest as an error; nothing is left, and the engine goes on."""
    with running_rig(tmp_path) as rig:
        key, _ = rig.prepare(STORED, LAST_PART_LATE)
        with pytest.raises(expected) as caught:
            rig.engine.download(f"s3://bucket/{key}", tmp_path / "restored", progress=raising(raised))
        assert caught.value is raised or isinstance(caught.value, errors.TransferError)
        assert not (tmp_path / "restored").exists()
        assert_nothing_held(rig.engine, tmp_path)
        assert rig.restore(STORED).succeeded().integrity == "checksum"


def feed(writer: int, data: bytes) -> None:
    """Write what fits into a pipe, and close it."""
    os.write(writer, data)
    os.close(writer)


def send(rig: WriteRig, how: str, progress: Callable[[int], None]) -> None:
    """Write an object in one of the ways that tell their progress."""
    body = random.Random(92).randbytes(700 * KIB)
    url = "s3://bucket/key"
    if how == "bytes":
        rig.engine.upload_bytes(body[: 100 * KIB], url, progress=progress)
    elif how == "parts":
        (rig.folder / "source").write_bytes(body)
        rig.engine.upload(rig.folder / "source", url, progress=progress)
    else:
        reader, writer = os.pipe()
        feeding = threading.Thread(target=feed, args=(writer, body[: 60 * KIB]))
        feeding.start()
        try:
            rig.engine.upload_stream(reader, url, progress=progress)
        finally:
            feeding.join()
            os.close(reader)


@pytest.mark.parametrize("how", ["bytes", "parts", "stream"])
@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "CancelledError"])
def test_a_callback_that_ends_an_upload(tmp_path: Path, how: str, name: str) -> None:
    """The same for what is sent: the caller gets it, the upload is aborted, and the engine goes on."""
    raised, expected = RAISED[name]
    with running_write_rig(tmp_path) as rig:
        rig.server.add_fault(Latency(operation="PutObject", seconds=0.7))
        with pytest.raises(expected):
            send(rig, how, raising(raised))
        rig.assert_nothing_left("key")
        send(rig, how, lambda _: None)
        assert rig.stored("key") is not None


def test_a_callback_under_asyncio(tmp_path: Path) -> None:
    """On a program's own loop what a callback raises is that transfer's failure, with its cause, and nothing else's."""

    async def restore(endpoint_url: str) -> BaseException | None:
        settings: dict[str, Any] = {"workers": 2, "part_size_bytes": PART_BYTES, "timeouts": QUICK}
        async with AsyncEngine(endpoint_url=endpoint_url, **settings) as engine:
            both = asyncio.gather(
                engine.download("s3://bucket/key", tmp_path / "ended", progress=raising(SystemExit(3))),
                engine.download("s3://bucket/key", tmp_path / "other"),
                return_exceptions=True,
            )
            ended, other = await both
            assert not isinstance(other, BaseException)
            assert isinstance(ended, errors.OtherError)
            assert "SystemExit: 3" in str(ended)
            return ended.__cause__

    with serving() as server, aws_environment(keys()):
        server.store.put("bucket", "key", STORED)
        server.add_fault(LAST_PART_LATE)
        assert isinstance(asyncio.run(restore(server.endpoint_url)), SystemExit)
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


@pytest.mark.parametrize("raised", [raised for raised, _ in RAISED.values()], ids=RAISED)
def test_a_progress_callback_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, raised: BaseException
) -> None:
    """What looks on breaks nothing: transfers succeed, the engine closes, and the failure is told once."""
    calls: list[Progress] = []

    def look(now: Progress) -> None:
        calls.append(now)
        raise raised

    with serving() as server:
        server.store.put("bucket", "key", STORED)
        server.add_fault(Latency(seconds=0.4))
        with running_engine(server.endpoint_url, on_progress=look) as engine:
            assert engine.download("s3://bucket/key", tmp_path / "restored").ok
            eventually(lambda: bool(calls), "the callback was never called")
    assert len(calls) == 1
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.getMessage() for one in told] == ["the progress callback failed, so it is not called any more"]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with one object."""
    with serving() as running:
        running.store.put("bucket", "key", STORED)
        yield running


def interrupt_when(condition: Callable[[], bool]) -> threading.Thread:
    """Send this process a Ctrl-C as soon as a condition holds."""

    def wait() -> None:
        eventually(condition, "there was nothing to interrupt", timeout_s=PATIENCE_S)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_ctrl_c_in_a_download(tmp_path: Path) -> None:
    """Ctrl-C out of a blocking call cancels it first: nothing appears later, and the engine goes on."""
    go_on = threading.Event()
    with running_rig(tmp_path) as rig:
        key, _ = rig.prepare(STORED, Stall(after_bytes=1000, until=go_on))
        waiting = interrupt_when(lambda: bool(temp_files(tmp_path)))
        began_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            rig.engine.download(f"s3://bucket/{key}", tmp_path / "restored")
        assert time.monotonic() - began_s < SOON_S
        waiting.join()
        go_on.set()
        assert list(tmp_path.iterdir()) == []
        assert_nothing_held(rig.engine, tmp_path)
        assert rig.restore(STORED).succeeded().ok


def test_ctrl_c_in_an_upload(tmp_path: Path) -> None:
    """An upload in parts that is interrupted is aborted by the time that the caller hears of it."""
    with running_write_rig(tmp_path) as rig:
        rig.server.add_fault(Latency(operation="UploadPart", seconds=5.0, attempt=1))
        (rig.folder / "source").write_bytes(b"x" * 700 * KIB)
        waiting = interrupt_when(lambda: bool(rig.server.requests_for("UploadPart")))
        with pytest.raises(KeyboardInterrupt):
            rig.engine.upload(rig.folder / "source", "s3://bucket/key")
        waiting.join()
        rig.assert_nothing_left("key")


def test_ctrl_c_among_many(tmp_path: Path) -> None:
    """Ctrl-C while results are waited for ends the rest of the run, and holds nothing."""
    with running_rig(tmp_path) as rig:
        for number in range(20):
            rig.server.store.put("bucket", f"many/{number}", make_object(b"x"))
        rig.server.add_fault(Stall(key="many/*", seconds=3.0, attempt="every"))
        waiting = interrupt_when(lambda: len(rig.server.requests_for("GetObject")) >= 2)
        with pytest.raises(KeyboardInterrupt):
            list(rig.engine.download_many("s3://bucket/many/", tmp_path / "many"))
        waiting.join()
        assert not (tmp_path / "many").exists()  # it was made for what did not come
        assert_nothing_held(rig.engine, tmp_path)


def test_ctrl_c_while_it_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while an engine waits for a silent service closes it at once: no process and no descriptor is left."""
    monkeypatch.setattr(life, "QUIET_S", PATIENCE_S)
    monkeypatch.setattr(life, "ABORTS_S", PATIENCE_S)
    with running_write_rig(tmp_path) as rig:
        rig.server.add_fault(Latency(operation="UploadPart", seconds=60, attempt="every"))
        rig.server.add_fault(Latency(operation="AbortMultipartUpload", seconds=60, attempt="every"))
        (rig.folder / "source").write_bytes(b"x" * 700 * KIB)
        rig.engine.start_task(rig.engine.aio.upload, rig.folder / "source", "s3://bucket/key")
        rig.server.wait_for(lambda it: bool(it.requests_for("UploadPart")))
        waiting = interrupt_when(lambda: bool(rig.server.requests_for("AbortMultipartUpload")))
        began_s = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            rig.engine.close()
        assert time.monotonic() - began_s < SOON_S
        waiting.join()
        assert len(rig.journals("key")) == 1


def test_the_loop_outlives_what_tries_to_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """Not even SystemExit in the middle of the loop leaves somebody waiting for ever."""
    portal = Portal()

    def leave() -> None:
        raise SystemExit(3)

    async def slow() -> str:
        await asyncio.sleep(0.2)
        return "here"

    waiting = portal.start(slow)
    portal.soon(leave)
    assert waiting.result(PATIENCE_S) == "here"
    assert portal.run(slow) == "here"
    assert "goes on" in caplog.text
    portal.stop()
    portal.stop()
    with pytest.raises(RuntimeError):
        portal.start(slow)


def test_what_is_under_way_when_the_loop_ends_is_cancelled() -> None:
    """Whoever waits for the loop gets a cancellation at its end."""
    portal = Portal()
    waiting = portal.start(asyncio.sleep, 60.0)
    portal.stop()
    assert waiting.cancelled()


FORGOTTEN = {
    "entered": "engine = Engine(endpoint_url=url, workers=2).__enter__()\nengine.download('s3://bucket/key', path)",
    "used by nobody": "engine = Engine(endpoint_url=url, workers=2).__enter__()",
    "never bound": "Engine(endpoint_url=url, workers=2).__enter__().download('s3://bucket/key', path)",
    "in the middle": "engine = Engine(endpoint_url=url).__enter__()\nengine.submit('s3://bucket/slow', path)",
    "by an exception": "engine = Engine(endpoint_url=url).__enter__()\nsys.exit(0)",
    "a store": "store = S3Store.from_url('s3+' + url + '/bucket')\nstore.get_bytes('key')",
    "never entered": "engine = Engine(endpoint_url=url)",
}
FORKED = {
    "exit": "with Engine(endpoint_url=url) as engine:\n    {use}\n    {fork}\n        sys.exit(0)\n    {reap}",
    "del": (
        "with Engine(endpoint_url=url, workers=2) as engine:\n    {use}\n    {fork}\n"
        "        del engine\n        gc.collect()\n        sys.exit(0)\n    {reap}"
    ),
    "end of file": "with Engine(endpoint_url=url, workers=2) as engine:\n    {use}\n    if {pid}:\n        {reap}",
    "end of file, forgotten": "engine = Engine(endpoint_url=url, workers=2).__enter__()\n{use}\nif {pid}:\n    {reap}",
    "exception": (
        "with Engine(endpoint_url=url, workers=2) as engine:\n    {use}\n    {fork}\n"
        "        raise SystemExit(0)\n    {reap}"
    ),
    "a store": (
        "store = S3Store.from_url('s3+' + url + '/bucket')\nstore.get_bytes('key')\n{fork}\n    sys.exit(0)\n{reap}"
    ),
    "del of a store": (
        "store = S3Store.from_url('s3+' + url + '/bucket')\nstore.get_bytes('key')\n{fork}\n"
        "    del store\n    gc.collect()\n    sys.exit(0)\n{reap}"
    ),
    "close of a store": (
        "store = S3Store.from_url('s3+' + url + '/bucket')\nstore.get_bytes('key')\n{fork}\n"
        "    store.close()\n    sys.exit(0)\n{reap}"
    ),
}
HEAD = """
import gc, os, sys, time
from bulkhaul import Engine, S3Store
url, path = sys.argv[1:]
def reaped(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
WORDS = {
    "use": "engine.download('s3://bucket/key', path)",
    "fork": "if not (pid := os.fork()):",
    "pid": "(pid := os.fork())",
    "reap": "reaped(pid)",
}


def run_script(script: str, server: FaultServer, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, which it must reach by itself and soon, and leave nothing behind."""
    before = set(descendants())
    with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
        command: list[Any] = [
            sys.executable,
            *options,
            *FORK_WARNS_NOT,
            "-c",
            HEAD + script,
            server.endpoint_url,
            folder / "restored",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    eventually(lambda: set(descendants()) <= before, "processes are left")
    assert temp_files(folder) == []
    return done


@pytest.mark.parametrize("script", FORGOTTEN.values(), ids=FORGOTTEN)
def test_a_program_that_forgets_its_engine(server: FaultServer, tmp_path: Path, script: str) -> None:
    """An engine that nobody closes does not keep the program from ending, and ends with it, whole and silent."""
    server.store.put("bucket", "slow", STORED)
    server.add_fault(Stall(key="slow", after_bytes=1000, attempt="every"))
    done = run_script(script, server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("script", FORKED.values(), ids=FORKED)
def test_a_child_that_was_forked_ends(server: FaultServer, tmp_path: Path, script: str) -> None:
    """A child that inherits an engine or a store ends as if it had none, and its parent's goes on to its own end."""
    done = run_script(script.format(**WORDS), server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_child_that_lives_on_does_not_hold_up_the_end(server: FaultServer, tmp_path: Path) -> None:
    """A child's copies of the engine's sockets keep nobody waiting when the parent closes it."""
    script = (
        "with Engine(endpoint_url=url, workers=2) as engine:\n"
        f"    {WORDS['use']}\n"
        f"    {WORDS['fork']}\n        time.sleep(60)\n"
        "    began_s = time.monotonic()\n"
        "print(time.monotonic() - began_s)\n"
        "os.kill(pid, 9)\nos.waitpid(pid, 0)\n"
    )
    done = run_script(script, server, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 1.5
