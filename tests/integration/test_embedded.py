"""The embedded server: it takes objects when it says so, and leaves nothing behind, however who started it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bulkhaul import Credentials, Engine
from bulkhaul.embedded.seaweed import REGION, Seaweed, seaweed
from bulkhaul.errors import OtherError
from tests.engines import descendants, eventually, is_alive
from tests.patience import PATIENCE_S

STARTS = """
import os, time
from pathlib import Path
from bulkhaul.embedded.seaweed import seaweed
with seaweed(Path({folder!r})) as server:
    for _ in server.until_ready():
        time.sleep(0.05)
    {then}
    print(server.process_id, flush=True)
    time.sleep(3600)
"""


@contextmanager
def started(folder: Path, then: str = "") -> Iterator[tuple[subprocess.Popen[str], set[int], set[Path]]]:
    """A program with a server that is ready; yield it, what it has started, and the server's sockets in /tmp."""
    before, begun = set(descendants()), set[int]()
    command = [sys.executable, "-c", STARTS.format(folder=str(folder), then=then)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            server = int(owner.stdout.readline())
            ports = re.findall(r"\.port=(\d+)\0", Path(f"/proc/{server}/cmdline").read_text())
            sockets = {one for port in ports for one in Path("/tmp").glob(f"*-grpc-{int(port) + 10000}.sock")}  # noqa: S108
            assert sockets
            begun = set(descendants()) - before - {owner.pid}
            yield owner, begun, sockets
        finally:
            owner.kill()
            for pid in filter(is_alive, begun):
                os.kill(pid, signal.SIGKILL)


def await_ready(server: Seaweed) -> None:
    """Wait until a server takes objects."""
    for _ in server.until_ready(PATIENCE_S):
        time.sleep(0.05)


def assert_nothing_left(folder: Path, processes: set[int], sockets: set[Path]) -> None:
    """No process, no folder, no socket is left, or soon none is."""
    eventually(lambda: not any(map(is_alive, processes)), "its processes are gone")
    eventually(lambda: os.listdir(folder) == [], "its folder is gone")
    assert [one for one in sockets if one.exists()] == []


def test_a_ready_server_takes_objects(tmp_path: Path) -> None:
    """Of whoever has its keys, at once; at the end of the block nothing is left."""
    before = set(descendants())
    with seaweed(tmp_path) as server:
        await_ready(server)
        keys = Credentials(server.credentials.access_key, server.credentials.secret_key)
        with Engine(endpoint_url=server.endpoint_url, region=REGION, credentials=keys, retry_for_s=0.0) as engine:
            engine.create_bucket("bucket")
            engine.put_bytes("s3://bucket/key", b"one")
            assert engine.get_bytes("s3://bucket/key") == b"one"
            assert [one.name for one in engine.buckets()] == ["bucket"]
    assert os.listdir(tmp_path) == []
    assert set(descendants()) <= before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_killed_program(tmp_path: Path, number: signal.Signals) -> None:
    """Neither the server nor its guard, nor a file of theirs."""
    with started(tmp_path) as (owner, processes, sockets):
        assert len(processes) == 2
        owner.send_signal(number)
        assert_nothing_left(tmp_path, processes, sockets)


def test_nothing_is_left_while_a_child_of_the_program_lives_on(tmp_path: Path) -> None:
    """A forked child holds the same descriptors as its parent; it keeps no server alive."""
    forks = "child = os.fork()\n    if not child: time.sleep(3600)"
    with started(tmp_path, forks) as (owner, processes, sockets):
        (child,) = (one for one in processes if b"-logdir" not in Path(f"/proc/{one}/cmdline").read_bytes())
        owner.kill()
        assert_nothing_left(tmp_path, processes - {child}, sockets)
        assert is_alive(child)


def test_the_server_ends_with_its_guard(tmp_path: Path) -> None:
    """Whoever kills the guard, too, leaves no server that runs for ever."""
    with started(tmp_path) as (owner, processes, _):
        assert owner.stdout is not None
        (guard,) = (one for one in processes if b"guard.py" in Path(f"/proc/{one}/cmdline").read_bytes())
        os.kill(guard, signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, processes)), "the server is gone")


def test_a_server_that_ends_is_told() -> None:
    """With its status, and at once: nobody waits for it."""
    with seaweed() as server:
        os.kill(server.process_id, signal.SIGKILL)
        began_s = time.monotonic()
        with pytest.raises(OtherError, match="ended with status -9"):
            await_ready(server)
        assert time.monotonic() - began_s < PATIENCE_S / 2
