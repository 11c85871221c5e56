"""An engine inside other programs: cancelled, closed in the middle, shared by threads, forked, under asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import Any

import pytest

from bulkhaul import AsyncEngine, Engine, TransferResult, errors
from bulkhaul.model.settings import Timeouts
from tests.engines import (
    PART_BYTES,
    QUICK,
    Rig,
    assert_nothing_held,
    aws_environment,
    descendants,
    eventually,
    keys,
    nothing_logged,
    running_engine,
    running_rig,
    serving,
    temp_files,
)
from tests.faultserver import FaultServer, Stall, StallReceiving, make_object
from tests.patience import PATIENCE_S, SOON_S

pytestmark = pytest.mark.usefixtures("real_workers")

BODY = random.Random(23).randbytes(5 * PART_BYTES + 5)
STORED = make_object(BODY, part_size_bytes=2 * PART_BYTES, algorithm="CRC32C")
STALL = Stall(start=PART_BYTES, after_bytes=1000)
PATIENT = Timeouts(read_s=30.0, lease_s=30.0, heartbeat_s=30.0)

BOTH = pytest.mark.parametrize("transport", ["fast", "sdk"])


def stalled(rig: Rig) -> Future[TransferResult]:
    """Begin a restore to ``restored`` and return when it hangs in the middle."""
    key, _ = rig.prepare(STORED, STALL)
    future = rig.engine.submit(f"s3://bucket/{key}", rig.folder / "restored")
    rig.server.wait_for(lambda s: any(get.faults and get.bytes_sent for get in s.requests_for("GetObject", key)))
    assert len(temp_files(rig.folder)) == 1
    return future


@BOTH
def test_cancelled_future(tmp_path: Path, transport: str) -> None:
    """Cancelling a future stops its transfer within seconds, leaves nothing, and the engine goes on."""
    with running_rig(tmp_path, transport=transport, timeouts=Timeouts(read_s=30.0, release_s=1.0)) as rig:
        (tmp_path / "restored").write_bytes(b"old")
        future = stalled(rig)
        began_s = time.monotonic()
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=PATIENCE_S)
        eventually(lambda: temp_files(tmp_path) == [], "a temp file is left of a cancelled transfer")
        assert time.monotonic() - began_s < SOON_S
        assert (tmp_path / "restored").read_bytes() == b"old"
        assert_nothing_held(rig.engine, tmp_path)
        assert rig.restore(STORED).succeeded().integrity == "checksum"


@pytest.mark.parametrize("source", ["s3://bucket/waits/1", "s3://bucket/waits/"])
def test_cancelled_while_it_waits_its_turn(tmp_path: Path, source: str) -> None:
    """What waits at a worker behind a slow connection, a part or a batch, is given back while that is still slow."""

    async def begin_and_cancel(engine: AsyncEngine) -> None:
        machine = engine._life.running().dispatcher.machine
        if source.endswith("/"):
            doing = asyncio.ensure_future(anext(aiter(engine.download_many(source, tmp_path / "waits"))))
        else:
            doing = asyncio.ensure_future(engine.download(source, tmp_path / "waits"))
        async with asyncio.timeout(PATIENCE_S):
            while machine.in_flight < 2:  # noqa: ASYNC110 - the machine tells nobody
                await asyncio.sleep(0.01)
        doing.cancel()
        await asyncio.wait([doing])

    timeouts = Timeouts(read_s=30.0, lease_s=30.0, release_s=1.0)
    with running_rig(tmp_path, workers=1, concurrency=1, timeouts=timeouts) as rig:
        go_on = threading.Event()
        for key in ("slow", "waits/1", "waits/2"):
            rig.server.store.put("bucket", key, make_object(b"small" * 100))
        rig.server.add_fault(Stall(operation="GetObject", key="slow", after_bytes=10, until=go_on))
        slow = rig.engine.submit("s3://bucket/slow", tmp_path / "slow")
        rig.server.wait_for(lambda s: bool(s.requests_for("GetObject", "slow")))
        pids = rig.engine.worker_pids
        rig.engine.run(begin_and_cancel, rig.engine.aio)
        assert not slow.done()
        go_on.set()
        assert slow.result(timeout=PATIENCE_S).retries == 0
        assert rig.engine.worker_pids == pids, "a worker was killed for what waited there"


@BOTH
def test_closed_in_the_middle(tmp_path: Path, transport: str) -> None:
    """Closing an engine ends its transfers as Cancelled, and takes its workers and temp files with it."""
    before = set(descendants())
    with running_rig(tmp_path, transport=transport, timeouts=PATIENT) as rig:
        future = stalled(rig)
        began_s = time.monotonic()
        rig.engine.close()
        assert time.monotonic() - began_s < SOON_S
        assert set(descendants()) <= before
        with pytest.raises((errors.Cancelled, CancelledError)):
            future.result(timeout=PATIENCE_S)
        assert list(tmp_path.iterdir()) == []
        rig.engine.close()  # twice does no harm
        with pytest.raises(errors.UsageError, match="the engine is closed"):
            rig.engine.download("s3://bucket/case-1", tmp_path / "restored")


def fail_inside(server: FaultServer, folder: Path) -> None:
    """Raise in the `with` block of an engine whose transfer is under way."""
    chosen: dict[str, Any] = {"workers": 2, "timeouts": PATIENT, "part_size_bytes": PART_BYTES}
    with Engine(endpoint_url=server.endpoint_url, **chosen) as engine:
        engine.submit("s3://bucket/key", folder / "restored")
        server.wait_for(lambda s: bool(s.requests_for("GetObject")))
        raise ZeroDivisionError


def test_left_by_an_exception(tmp_path: Path) -> None:
    """An exception in the `with` block ends the engine like its end does."""
    with serving() as server, aws_environment(keys()), nothing_logged():
        server.store.put("bucket", "key", STORED)
        server.add_fault(STALL)
        before = set(descendants())
        with pytest.raises(ZeroDivisionError):
            fail_inside(server, tmp_path)
        assert set(descendants()) <= before
        assert list(tmp_path.iterdir()) == []


def test_results_that_nobody_takes(tmp_path: Path) -> None:
    """A generator of results that is left early stops the rest of its restore, and holds nothing."""
    with running_rig(tmp_path, concurrency=2) as rig:
        for number in range(80):
            rig.server.store.put("bucket", f"many/{number:03}", make_object(b"small %d" % number))
        go_on = threading.Event()
        rig.server.add_fault(StallReceiving(operation="GetObject", key="many/0[4-7]*", attempt="every", until=go_on))
        results = rig.engine.download_many("s3://bucket/many/", tmp_path / "many")
        for _ in range(3):
            assert next(results).error is None
        results.close()  # type: ignore[attr-defined] # it is a generator
        go_on.set()
        assert len(list((tmp_path / "many").iterdir())) <= 40
        assert_nothing_held(rig.engine, tmp_path)
        assert sum(one.error is None for one in rig.engine.download_many("s3://bucket/many/", tmp_path / "again")) == 80


def test_threads_share_an_engine(tmp_path: Path) -> None:
    """Many threads may use one engine at once; each gets its own object."""
    with running_rig(tmp_path) as rig:
        bodies = {f"key-{n}": random.Random(n).randbytes(1000 + n * 300_000) for n in range(12)}
        for key, body in bodies.items():
            rig.server.store.put("bucket", key, make_object(body))
        sizes: dict[str, int] = {}

        def restore(key: str) -> None:
            sizes[key] = rig.engine.download(f"s3://bucket/{key}", tmp_path / key).size

        threads = [threading.Thread(target=restore, args=(key,)) for key in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
        assert sizes == {key: len(body) for key, body in bodies.items()}
        assert all((tmp_path / key).read_bytes() == body for key, body in bodies.items())


def test_same_destination_twice_at_once(tmp_path: Path) -> None:
    """Two transfers to one path do not disturb each other: one of the two objects is there, whole."""
    with running_rig(tmp_path) as rig:
        first, _ = rig.prepare(STORED)
        second, _ = rig.prepare(BODY[::-1])
        for _ in range(5):
            futures = [rig.engine.submit(f"s3://bucket/{key}", tmp_path / "restored") for key in (first, second)]
            assert all(future.result(timeout=PATIENCE_S).ok for future in futures)
            assert (tmp_path / "restored").read_bytes() in (BODY, BODY[::-1])
        assert temp_files(tmp_path) == []


def test_two_engines_at_once(tmp_path: Path) -> None:
    """Engines of one process do not know each other."""
    with running_rig(tmp_path) as rig:
        rig.restore(STORED)
        with running_engine(rig.server.endpoint_url) as other:
            futures = [one.submit("s3://bucket/case-1", tmp_path / f"{n}") for n, one in enumerate((rig.engine, other))]
            assert all(future.result(timeout=PATIENCE_S).ok for future in futures)
        assert rig.restore(STORED).succeeded().ok


def test_under_asyncio(tmp_path: Path) -> None:
    """The asynchronous engine runs on the caller's own loop, uvloop or not, and obeys its cancellation."""

    async def restore(endpoint_url: str) -> list[TransferResult]:
        async with AsyncEngine(
            endpoint_url=endpoint_url, workers=2, part_size_bytes=PART_BYTES, timeouts=QUICK
        ) as engine:
            both = await asyncio.gather(*(engine.download("s3://bucket/key", tmp_path / f"{n}") for n in range(2)))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await engine.download("s3://bucket/stalled", tmp_path / "stalled")
            assert temp_files(tmp_path) == []
            return [*both, *[one async for one in engine.download_many("s3://bucket/dir/", tmp_path / "dir")]]

    before = set(descendants())
    with serving() as server, aws_environment(keys()), nothing_logged():
        server.store.put("bucket", "key", STORED)
        server.store.put("bucket", "stalled", STORED)
        server.store.put("bucket", "dir/one", STORED)
        server.add_fault(Stall(key="stalled", attempt="every"))
        results = asyncio.run(restore(server.endpoint_url))
    assert [result.error for result in results] == [None] * 3
    assert [path.read_bytes() == BODY for path in (tmp_path / "0", tmp_path / "1", tmp_path / "dir" / "one")] == [
        True
    ] * 3
    assert not (tmp_path / "stalled").exists()
    assert set(descendants()) <= before


SCRIPT = """
import json, multiprocessing, os, sys
from bulkhaul import Engine, errors

endpoint_url, folder = sys.argv[1:]

def restore(name):
    with Engine(endpoint_url=endpoint_url, workers=2) as engine:
        return str(engine.download("s3://bucket/key", os.path.join(folder, name)).integrity)

def in_child(engine, queue):
    try:
        engine.download("s3://bucket/key", os.path.join(folder, "refused"))
    except errors.UsageError as error:
        queue.put([restore("forked"), str(error)])

said = [restore("script")]
queue = multiprocessing.get_context("fork").SimpleQueue()
with Engine(endpoint_url=endpoint_url, workers=2) as engine:
    child = multiprocessing.get_context("fork").Process(target=in_child, args=(engine, queue))
    child.start()
    said += queue.get()
    child.join(10)
    said += [child.exitcode, str(engine.download("s3://bucket/key", os.path.join(folder, "parent")).integrity)]
print(json.dumps(said))
"""


def test_in_a_script_and_in_a_forked_child(tmp_path: Path) -> None:
    """A script without an `if __name__` works, and so does an engine made in a child that was forked.

    The engine that such a child inherits refuses, and its owner goes on unharmed.
    """
    (tmp_path / "script.py").write_text(SCRIPT)
    with serving() as server:
        server.store.put("bucket", "key", STORED)
        with aws_environment(keys() | {"PYTHONPATH": os.pathsep.join(sys.path)}):
            command: list[Any] = [sys.executable, tmp_path / "script.py", server.endpoint_url, tmp_path]
            done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    script, forked, refusal, exit_code, parent = json.loads(done.stdout)
    assert [script, forked, parent, exit_code] == ["checksum"] * 3 + [0]
    assert "forked" in refusal
    assert not (tmp_path / "refused").exists()
    assert all((tmp_path / name).read_bytes() == BODY for name in ("script", "forked", "parent"))


def test_progress_counts_each_byte_once(tmp_path: Path) -> None:
    """The total never counts a byte twice, whatever was fetched again."""
    with running_rig(tmp_path) as rig:
        rig.restore(STORED, Stall(start=PART_BYTES, after_bytes=PART_BYTES // 2))
        progress = rig.engine.progress()
        assert (progress.received_bytes, progress.planned_bytes) == (len(BODY), len(BODY))
        assert (progress.planned_objects, progress.verified_objects, progress.failed_objects) == (1, 1, 0)


def test_totals_outlive_a_restart(tmp_path: Path) -> None:
    """An engine that is entered again goes on counting, whether workers or the service moved the bytes."""
    with running_rig(tmp_path) as rig, aws_environment(keys()):
        rig.server.store.put("bucket", "counted", make_object(b"123456"))
        engine = Engine(endpoint_url=rig.server.endpoint_url, workers=1)
        for turn in (1, 2):
            with engine:
                engine.download("s3://bucket/counted", tmp_path / "counted")
                engine.copy("s3://bucket/counted", "s3://bucket/copied")
                assert engine.progress().received_bytes == turn * 12
        assert engine.progress().received_bytes == 24
