"""Few open files are allowed (ulimit -n): every direction works, and one line says what this costs."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines import serving
from tests.faultserver import MIB, FaultServer, make_object
from tests.integration import command

OBJECTS = 300
SMALL = random.Random(81).randbytes(2000)
LARGE = random.Random(82).randbytes(40 * MIB)
FOLDERS = 70
"""Of each kind, with one object: one of a batch, one that goes alone, and one that counts as large."""


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with many small objects and a large one."""
    with serving() as running:
        for number in range(OBJECTS):
            running.store.put("bucket", f"many/{number}", make_object(SMALL))
        for number in range(FOLDERS):
            for kind, size_bytes in (("batched", 2000), ("alone", 300_000), ("large", MIB + 1)):
                running.store.put("bucket", f"folders/{kind}-{number}/x", make_object(LARGE[:size_bytes]))
        running.store.put("bucket", "large", make_object(LARGE))
        yield running


def run(server: FaultServer, files: int, *words: str | Path, given: bytes = b"") -> bytes:
    """Run the command with so few open files allowed; return what it wrote.

    It must succeed, and warn once: of the number in flight, of the limit, and of how to raise it.
    """
    named = command.arguments(words[0], "--endpoint-url", server.endpoint_url, *words[1:])
    limited = ["bash", "-c", 'ulimit -S -n "$0" && exec "$@"', str(files), *named]
    done = subprocess.run(
        limited, env=command.environment(), input=given, capture_output=True, timeout=command.LIMIT_S, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert said.count("WARNING") == 1, said
    assert f"at most {files // 4} requests in flight" in said
    assert f"the limit of open files is {files}; raise it (ulimit -n)" in said
    return done.stdout


@pytest.mark.parametrize("files", [64, 256])
def test_many_small_objects(server: FaultServer, tmp_path: Path, files: int) -> None:
    """Down and up again, all of them."""
    run(server, files, "cp", "-r", "s3://bucket/many/", tmp_path / "down")
    assert [path.read_bytes() for path in (tmp_path / "down").iterdir()] == [SMALL] * OBJECTS
    run(server, files, "cp", "-r", tmp_path / "down", f"s3://bucket/up-{files}/")
    assert sum(key.startswith(f"up-{files}/") for key in server.store.in_bucket("bucket")) == OBJECTS


def test_many_folders(server: FaultServer, tmp_path: Path) -> None:
    """Each object under way holds a folder of its own open as well, whatever its size."""
    files = 64
    run(server, files, "cp", "-r", "s3://bucket/folders/", tmp_path / "down")
    assert len(list((tmp_path / "down").glob("*/x"))) == 3 * FOLDERS
    run(server, files, "cp", "-r", "--multipart-threshold", "1MiB", tmp_path / "down", "s3://bucket/back/")
    assert sum(key.startswith("back/") for key in server.store.in_bucket("bucket")) == 3 * FOLDERS


@pytest.mark.parametrize("files", [64, 256])
def test_a_large_object(server: FaultServer, tmp_path: Path, files: int) -> None:
    """Down, up in parts, as a stream both ways, and from one endpoint to another."""
    parts = ("--part-size", "5MiB", "--multipart-threshold", "5MiB")
    run(server, files, "cp", "--part-size", "5MiB", "s3://bucket/large", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == LARGE
    run(server, files, "cp", *parts, tmp_path / "file", f"s3://bucket/sent-{files}")
    assert run(server, files, "cat", f"s3://bucket/sent-{files}") == LARGE
    run(server, files, "pipe", "--part-size", "5MiB", f"s3://bucket/piped-{files}", given=LARGE)
    relayed = ("--source-endpoint-url", server.endpoint_url, f"s3://bucket/piped-{files}", f"s3://bucket/far-{files}")
    run(server, files, "cp", *parts, *relayed)
    assert run(server, files, "cat", f"s3://bucket/far-{files}") == LARGE


def test_nothing_is_said_where_nothing_is_moved(server: FaultServer) -> None:
    """A command that moves no bytes is not slower for it."""
    named = command.arguments("ls", "--endpoint-url", server.endpoint_url, "s3://bucket/many/")
    done = subprocess.run(
        ["bash", "-c", 'ulimit -S -n 64 && exec "$@"', "bash", *named],
        env=command.environment(),
        capture_output=True,
        timeout=command.LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
