"""Engines that the program shares, and a child that inherits engines: nobody has to close them, and none hangs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from bulkhaul.engine import shared
from bulkhaul.engine.shared import shared_engine
from bulkhaul.model.settings import Settings
from tests.engines import aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.usefixtures("real_workers")


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with one object, and the keys for it in the environment."""
    with serving() as running, aws_environment(keys()):
        running.store.put("bucket", "key", make_object(b"hello"))
        yield running


def test_closed_engines_are_not_kept(server: FaultServer) -> None:
    """The next engine that is shared takes their place; credentials that are no key of a table are refused."""
    first = shared_engine(Settings(endpoint_url=server.endpoint_url, workers=1))
    first.close()
    second = shared_engine(Settings(endpoint_url=server.endpoint_url, workers=2))
    try:
        assert first not in shared._engines.values()
        with pytest.raises(errors.UsageError, match="hashable"):
            shared_engine(Settings(), [])  # type: ignore[arg-type]
    finally:
        second.close()


SHARED = """
import os, sys, threading
import bulkhaul
def read():
    with bulkhaul.open("s3://bucket/key", endpoint_url=sys.argv[1], workers=1) as file:
        return file.read()
going, begun, start = threading.Event(), threading.Event(), bulkhaul.Engine.start
def late(self):
    begun.set()
    going.wait(30)
    return start(self)
bulkhaul.Engine.start = late
thread = threading.Thread(target=read)
thread.start()
begun.wait()
pid = os.fork()
if not pid:
    bulkhaul.Engine.start = start
    sys.exit(read() != b"hello")
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
going.set()
thread.join()
sys.exit(status)
"""

HANDLED = """
import signal, sys
import bulkhaul
from bulkhaul.engine.shared import _engines
found, start = [], bulkhaul.AsyncEngine.start
def read(*_):
    with bulkhaul.open("s3://bucket/key", endpoint_url=sys.argv[1], workers=1) as file:
        found.append(file.read())
async def struck(self):
    bulkhaul.AsyncEngine.start = start
    signal.raise_signal(signal.SIGUSR1)  # handled by the main thread, which waits for this
    return await start(self)
bulkhaul.AsyncEngine.start = struck
signal.signal(signal.SIGUSR1, read)
read()
sys.exit(found != [b"hello", b"hello"] or len(_engines) != 1)
"""

FORKED = """
import os, sys
import bulkhaul
with bulkhaul.Engine(endpoint_url=sys.argv[1], workers=1) as engine:
    engine.head("s3://bucket/key")
    pid = os.fork()
    if not pid:
        sys.exit(0)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("script", [SHARED, HANDLED, FORKED], ids=["shared", "handled", "forked"])
def test_engines_that_nobody_closes_here_are_no_fault(server: FaultServer, tmp_path: Path, script: str) -> None:
    """Neither those of ``bulkhaul.open`` nor those of a parent warn; a fork or a signal while one starts hangs none."""
    words = [sys.executable, "-W", "always::ResourceWarning", "-c", script, server.endpoint_url]
    with aws_environment(keys() | {"PYTHONPATH": ":".join(sys.path)}):
        run = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, cwd=tmp_path, check=False)
    assert run.returncode == 0, run.stderr
    assert "unclosed engine" not in run.stderr
