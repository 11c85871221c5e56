"""The usual path imports nothing heavy: with keys in the environment and a plain endpoint, in no process.

A ``sitecustomize`` of the test's own writes down, in every process, the imports of what is watched as they begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faultserver import FaultServer
from tests.integration.command import run, stream
from tests.integration.lean import HEAVY, hooked, serving_a_few_objects

COMMAND, ENGINE = "bulkhaul.cli.main", "bulkhaul.engine.worker.process"
"""What the command itself imports, and what the forkserver does, and so every worker: both are watched for proof."""

HOOK = """
import os, sys

class Watch:
    names = frozenset(os.environ["LEAN_WATCHED"].split())

    def find_spec(self, name, path=None, target=None):
        if name in self.names:
            with open(os.environ["LEAN_LOG"], "a") as log:
                log.write(f"{os.getpid()} {name}\\n")
        return None

if "LEAN_LOG" in os.environ:
    sys.meta_path.insert(0, Watch())
"""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with a few small objects."""
    with serving_a_few_objects() as started:
        yield started


class Watched:
    """The imports that processes have begun."""

    def __init__(self, folder: Path, server: FaultServer) -> None:
        self._log = folder / "imports"
        self.variables = {
            **hooked(folder, HOOK, self._log, server),
            "LEAN_WATCHED": " ".join({*HEAVY, COMMAND, ENGINE}),
        }

    def found(self) -> tuple[set[str], set[str]]:
        """Return what the command has imported of HEAVY, and what the engine's processes have; forget it."""
        lines = [line.split() for line in self._log.read_text().splitlines()]
        self._log.write_text("")
        commands = {pid for pid, name in lines if name == COMMAND}
        assert commands, "the hook works in the command"
        assert any(name == ENGINE and pid not in commands for pid, name in lines), "and in the engine"
        heavy = [(pid in commands, name) for pid, name in lines if name in HEAVY]
        return {name for ours, name in heavy if ours}, {name for ours, name in heavy if not ours}


@pytest.fixture
def watched(tmp_path: Path, server: FaultServer) -> Watched:
    """Watch all imports of what is run with its variables."""
    return Watched(tmp_path, server)


USUAL = [
    ("cp", "s3://bucket/one", "{folder}/one"),
    ("cp", "{file}", "s3://bucket/up"),
    ("cp", "-r", "s3://bucket/", "{folder}/all/"),
    ("ls", "s3://bucket/"),
    ("head", "s3://bucket/one"),
    ("cat", "s3://bucket/one"),
    ("rm", "s3://bucket/two"),
    ("cp", "s3://bucket/one", "s3://bucket/copied"),
]


@pytest.mark.parametrize("words", USUAL, ids=lambda words: " ".join(words).replace("{folder}", "."))
def test_no_process_imports_anything_heavy(watched: Watched, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Neither the command, nor the forkserver, nor any worker."""
    file = tmp_path / "file"
    file.write_bytes(b"x" * 1000)
    places = [word.format(folder=tmp_path, file=file) for word in words]
    done = run(*places, variables=watched.variables)
    assert done.returncode == 0, done.stderr
    assert watched.found() == (set(), set())


def test_a_stream_imports_nothing_heavy(watched: Watched) -> None:
    """An upload of stdin ends in one PUT, or in parts."""
    done = stream("pipe", "s3://bucket/piped", given=b"y" * 1000, variables=watched.variables)
    assert done.returncode == 0, done.stderr
    assert watched.found() == (set(), set())


def test_the_question_for_buckets_imports_nothing_heavy(watched: Watched) -> None:
    """Also where the answer is no: this server has no list of buckets."""
    done = run("ls", variables=watched.variables)
    assert "NoSuchBucket" in done.stderr
    assert watched.found() == (set(), set())


def test_what_only_the_sdk_does_imports_it(watched: Watched, tmp_path: Path) -> None:
    """The watch sees what it watches for: by the SDK's transport everything goes through boto3."""
    done = run("cp", "--transport", "sdk", "s3://bucket/one", tmp_path / "one", variables=watched.variables)
    assert done.returncode == 0, done.stderr
    assert "boto3" in watched.found()[1]
