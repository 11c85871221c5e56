"""``bulkhaul demo``: the whole way on a real server, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

from tests.engines import descendants, eventually, is_alive
from tests.integration.command import run, start


def sockets() -> set[Path]:
    """Return the sockets that SeaweedFS makes outside of its folder."""
    return set(Path("/tmp").glob("seaweedfs-*.sock"))  # noqa: S108 - where it puts them


def test_demo(tmp_path: Path) -> None:
    """It restores and compares everything, prints one table on stdout, and leaves no file and no process."""
    before = sockets()
    done = run("demo", "--size", "24MiB", "--objects", "20", variables={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert re.search(r"large object\D+1\D+25,165,824 .*checksum", done.stdout)
    assert re.search(r"small objects\D+20 .*checksum", done.stdout)
    assert "upload: " in done.stderr
    assert os.listdir(tmp_path) == []
    assert sockets() <= before


def test_interrupted_demo(tmp_path: Path) -> None:
    """Ctrl-C in the middle takes the server and all files along."""
    before, running = sockets(), set(descendants())
    process = start("demo", "--size", "256MiB", "--objects", "0", variables={"TMPDIR": str(tmp_path)})
    try:
        eventually(lambda: bool(list(tmp_path.glob("*/data/*.dat"))), "the upload has begun", timeout_s=20)
        children = sorted(set(descendants()) - running)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert time.monotonic() - began_s < 3.0
    assert "interrupted by SIGINT" in err
    assert "Traceback" not in err
    eventually(lambda: not [pid for pid in children if is_alive(pid)], "all its processes are gone")
    assert os.listdir(tmp_path) == []
    assert sockets() <= before
