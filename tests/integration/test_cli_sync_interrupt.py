"""Ctrl-C in the middle of ``bulkhaul sync``: soon, with nothing deleted before its time, and the next run goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines import descendants, eventually, is_alive, temp_files
from tests.faultserver import Fault, FaultServer, Latency, Stall, Status, StoredObject, make_object
from tests.integration.command import run, start
from tests.patience import PATIENCE_S, SOON_S


def interrupted(server: FaultServer, words: list[str], ready: Callable[[FaultServer], bool]) -> tuple[int, str, str]:
    """Interrupt a sync as soon as the server has seen enough; it ends soon, with all its processes."""
    before = set(descendants())
    process = start("sync", "--json", "--workers", "1", "--endpoint-url", server.endpoint_url, *words)
    try:
        server.wait_for(ready)
        children = set(descendants()) - before
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
        assert time.monotonic() - began_s < SOON_S
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not [pid for pid in children if is_alive(pid)], "all its processes are gone")
    return process.returncode, out, err


def requests(operation: str, number: int) -> Callable[[FaultServer], bool]:
    """Return whether a server has had so many requests of an operation."""
    return lambda server: len(server.requests_for(operation)) >= number


def test_in_the_middle_of_transfers(tmp_path: Path) -> None:
    """What has landed stays, nothing is deleted, and the next run does the rest."""
    (tmp_path / "extra").touch()
    objects: dict[str, bytes | StoredObject] = {f"bucket/p/{number:03}": b"x" * 1000 for number in range(300)}
    stalled = Stall(after_bytes=100, attempt="every", key="p/2*")
    words = ["--delete", "s3://bucket/p", str(tmp_path)]
    with FaultServer(objects, [stalled]) as server:
        status, out, err = interrupted(server, words, requests("GetObject", 208))
    *told, interruption, summary = [json.loads(line) for line in out.splitlines()]
    assert (status, "interrupted by SIGINT" in interruption["error"]["message"], err) == (130, True, "")
    assert (tmp_path / "extra").exists()
    assert temp_files(tmp_path) == []
    assert {line["operation"] for line in told} <= {"cp"}
    assert (summary["success"], summary["verified"]) == (False, len(told))
    with FaultServer(objects) as server:
        assert run("sync", *words, "--endpoint-url", server.endpoint_url).returncode == 0
    assert sorted(os.listdir(tmp_path)) == sorted(key.rpartition("/")[2] for key in objects)


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["real", "dry"])
def test_while_it_lists(tmp_path: Path, more: list[str]) -> None:
    """A listing that says nothing any more is let go of."""
    silent: Fault = Stall(operation="ListObjectsV2", after_bytes=10, attempt="every")
    out = tmp_path / "out"
    with FaultServer({"bucket/p/a": b"a"}, [silent]) as server:
        words = ["--delete", *more, "s3://bucket/p", str(out)]
        status, _, _ = interrupted(server, words, requests("ListObjectsV2", 1))
    assert status == 130
    assert not out.exists() or os.listdir(out) == []


def doomed(server: FaultServer) -> None:
    """Store 300 objects that a sync of an emptier folder deletes."""
    for number in range(300):
        server.store.put("bucket", f"p/{number:03}", make_object(b"x"))


def test_in_the_middle_of_deletions(tmp_path: Path) -> None:
    """Where objects are looked at and deleted one by one, many at a time: what was deleted is told, the others stay."""
    (tmp_path / "kept").touch()
    single: Fault = Status(status=501, code="NotImplemented", operation="DeleteObjects", attempt="every")
    silent = Latency(seconds=PATIENCE_S, operation="HeadObject", key="p/2*")
    with FaultServer(None, [single, silent], buckets=["bucket"]) as server:
        doomed(server)

        def many(it: FaultServer) -> bool:
            return len({one.key for one in it.requests_for("HeadObject") if "Latency" in one.faults}) >= 16

        status, out, _ = interrupted(server, ["--delete", str(tmp_path), "s3://bucket/p"], many)
        kept = set(server.store.in_bucket("bucket"))
    *told, _ = [json.loads(line) for line in out.splitlines()]
    removed = {line["object"]["key"] for line in told if line["operation"] == "rm" and line["success"]}
    assert status == 130
    assert not removed & kept
    assert {f"p/2{number:02}" for number in range(100)} <= kept


def test_in_the_middle_of_a_batch_of_deletions(tmp_path: Path) -> None:
    """A batch whose answer does not come is let go of, tells nothing as deleted, and the next run does the rest."""
    (tmp_path / "kept").touch()
    silent: Fault = Latency(seconds=PATIENCE_S, operation="DeleteObjects", attempt="every", times=1)
    words = ["--delete", str(tmp_path), "s3://bucket/p"]
    with FaultServer(None, [silent], buckets=["bucket"]) as server:
        doomed(server)
        status, out, _ = interrupted(server, words, requests("DeleteObjects", 1))
        told = [json.loads(line) for line in out.splitlines()]
        assert status == 130
        assert [line for line in told if line["operation"] == "rm" and line["success"]] == []
        assert run("sync", *words, "--endpoint-url", server.endpoint_url).returncode == 0
        assert set(server.store.in_bucket("bucket")) == {"p/kept"}
