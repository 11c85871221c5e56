"""``bulkhaul demo``: the whole way on a real server, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines import descendants, eventually, is_alive
from tests.integration.command import start
from tests.patience import PATIENCE_S, SOON_S


@dataclass(slots=True)
class Demo:
    """A demo that runs, and what it has begun."""

    process: subprocess.Popen[str]
    children: set[int]
    sockets: set[Path] = field(default_factory=set)

    def look(self) -> bool:
        """Note the sockets that SeaweedFS makes outside of its folder; tell whether there are any yet.

        Those of another SeaweedFS on this machine are none of ours.
        """
        for pid in self.children:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for port in re.findall(r"\.port=(\d+)\0", Path(f"/proc/{pid}/cmdline").read_text()):
                    self.sockets |= set(Path("/tmp").glob(f"seaweedfs-*-grpc-{int(port) + 10000}.sock"))  # noqa: S108
        return bool(self.sockets)

    def ended(self) -> tuple[int, str, str]:
        """Return its exit code and what it printed; nothing of it is left."""
        out, err = self.process.communicate(timeout=2 * PATIENCE_S)
        assert "Traceback" not in err
        assert self.sockets
        assert [path for path in self.sockets if path.exists()] == []
        eventually(lambda: not any(map(is_alive, self.children)), "all its processes are gone")
        return self.process.returncode, out, err


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Demo]:
    """Run a demo whose server is up, in a folder for temp files of its own."""
    before = set(descendants())
    process = start("demo", *options, variables={"TMPDIR": str(folder)})
    demo = Demo(process, set())

    def is_up() -> bool:
        demo.children |= set(descendants()) - before
        return demo.look()

    try:
        eventually(is_up, "the server does not start")
        yield demo
    finally:
        process.kill()
        process.communicate()
        for pid in filter(is_alive, demo.children):
            os.kill(pid, signal.SIGKILL)


def test_demo(tmp_path: Path) -> None:
    """It restores and compares everything, prints one table on stdout, and leaves no file and no process."""
    with running(tmp_path, "--size", "24MiB", "--objects", "20") as demo:
        status, out, err = demo.ended()
    assert status == 0, err
    assert re.search(r"large object\D+1\D+25,165,824 .*checksum", out)
    assert re.search(r"small objects\D+20 .*checksum", out)
    assert "upload: " in err
    assert os.listdir(tmp_path) == []


def test_interrupted_demo(tmp_path: Path) -> None:
    """Ctrl-C in the middle takes the server and all files along."""
    with running(tmp_path, "--size", "256MiB", "--objects", "0") as demo:
        eventually(lambda: bool(list(tmp_path.glob("*/data/*.dat"))), "the upload has begun")
        began_s = time.monotonic()
        demo.process.send_signal(signal.SIGINT)
        status, _, err = demo.ended()
    assert status == 130
    assert time.monotonic() - began_s < SOON_S
    assert "interrupted by SIGINT" in err
    assert os.listdir(tmp_path) == []
