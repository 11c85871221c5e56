"""Runs ``bulkhaul`` many times as a process each, forked from one that has imported it: rows of a table cost less so.

Run as a program it is that process: it reads one command line a line, as JSON, and answers each with an exit status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import IO, NoReturn

from bulkhaul.cli.main import main

_STREAMS = (("stdin", os.O_RDONLY), ("stdout", os.O_WRONLY), ("stderr", os.O_WRONLY))

_MODULES = (
    *("cli.group", "cli.options", "cli.transfer_job", "cli.launch", "cli.run_job", "cli.run_query", "engine.facade"),
    *("engine.worker.forkserver", "engine.worker.process", "engine.pool.forkserver_process", "jobs.several"),
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    stdout: str
    stderr: str


class Warm:
    """The process that has imported ``bulkhaul``, as its parent sees it."""

    def __init__(self, asked: IO[str], answered: IO[str]) -> None:
        """Take its stdin and its stdout."""
        self._asked, self._answered = asked, answered

    def run(self, words: Sequence[str], *, folder: Path, environment: Mapping[str, str], given: bytes = b"") -> Ended:
        """Run a command in a folder to its end.

        Args:
            words: what follows the name of the program.
            given: what it reads from stdin.
        """
        with tempfile.TemporaryDirectory() as name:
            streams = Path(name)
            for stream, _ in _STREAMS:
                (streams / stream).write_bytes(given if stream == "stdin" else b"")
            asked = {"words": list(words), "folder": str(folder), "environment": dict(environment), "streams": name}
            self._asked.write(json.dumps(asked) + "\n")
            self._asked.flush()
            status = int(self._answered.readline())
            stdout, stderr = ((streams / stream).read_text() for stream in ("stdout", "stderr"))
        assert "Traceback" not in stderr, stderr
        return Ended(status, stdout, stderr)


@contextmanager
def warm() -> Iterator[Warm]:
    """Start the process, and end it."""
    command = [sys.executable, "-m", "tests.integration.peers.warm"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Warm(process.stdin, process.stdout)
        process.stdin.close()


def _serve() -> None:
    for name in _MODULES:
        import_module(f"bulkhaul.{name}")
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            _become(json.loads(line))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(asked: dict[str, object]) -> NoReturn:
    """Be the command from now on."""
    os.chdir(str(asked["folder"]))
    os.environ.clear()
    os.environ.update(asked["environment"])  # type: ignore[call-overload]
    for fd, (stream, flags) in enumerate(_STREAMS):
        opened = os.open(Path(str(asked["streams"]), stream), flags)
        os.dup2(opened, fd)
        os.close(opened)
    sys.argv = ["bulkhaul", *asked["words"]]  # type: ignore[misc]
    main()


if __name__ == "__main__":
    _serve()
