"""Holes stay holes: blocks of zeros of a download take no room, and every byte is checked as always."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul import errors
from bulkhaul.disk.sparse import BLOCK_BYTES, SparseWindow
from bulkhaul.model.settings import Settings
from tests.engines import keys, running_engine, serving
from tests.faultserver import MIB, FaultServer, make_object
from tests.integration.command import run

RANDOM = random.Random(14)
HOLED = RANDOM.randbytes(MIB + 7) + bytes(5 * MIB) + RANDOM.randbytes(100) + bytes(3 * MIB)
DATA_BYTES = MIB + 7 + 100
SMALL = b"x" * 100 + bytes(60_000)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server with objects that are mostly zeros."""
    with serving() as running:
        running.store.put("bucket", "p/holed", make_object(HOLED, algorithm="CRC64NVME"))
        running.store.put("bucket", "p/small", make_object(SMALL, algorithm="CRC64NVME"))
        running.store.put("bucket", "p/zeros", make_object(bytes(2 * MIB)))
        running.store.put("bucket", "p/empty", make_object(b""))
        yield running


def allocated(path: Path) -> int:
    """Return how many bytes a file takes on the disk. Source: stat(2), st_blocks."""
    return path.stat().st_blocks * 512


@pytest.mark.parametrize("transport", ["fast", "sdk"])
@pytest.mark.parametrize("verify", ["auto", "full", "none"])
def test_holes_stay_holes(server: FaultServer, tmp_path: Path, transport: str, verify: str) -> None:
    """Of files in parts, and of small ones; what is checked is every byte."""
    settings = {"sparse": True, "transport": transport, "verify": verify, "part_size_bytes": MIB}
    with running_engine(server.endpoint_url, keys(), **settings) as engine:
        assert all(one.ok for one in engine.download_many("s3://bucket/p/", tmp_path))
    assert (tmp_path / "holed").read_bytes() == HOLED
    assert (tmp_path / "small").read_bytes() == SMALL
    assert (tmp_path / "zeros").read_bytes() == bytes(2 * MIB)
    assert (tmp_path / "empty").read_bytes() == b""
    assert allocated(tmp_path / "holed") <= DATA_BYTES + 4 * BLOCK_BYTES
    assert allocated(tmp_path / "small") <= 2 * BLOCK_BYTES
    assert allocated(tmp_path / "zeros") == 0


def test_nothing_is_sparse_by_itself(server: FaultServer, tmp_path: Path) -> None:
    """Without the option all blocks are there, so that a full disk shows at once."""
    with running_engine(server.endpoint_url, keys()) as engine:
        engine.download("s3://bucket/p/holed", tmp_path / "holed")
    assert allocated(tmp_path / "holed") >= len(HOLED)


def test_a_hole_is_made_where_something_was(tmp_path: Path) -> None:
    """A second attempt leaves nothing of the first one behind, which may have been wrong."""
    body = bytes(3 * BLOCK_BYTES) + b"end"
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * len(body))
    buffer = memoryview(bytearray(body))
    with path.open("r+b") as file:
        window = SparseWindow(file.fileno(), 0, len(body), buffer)
        window.received(len(body))
        assert window.received_bytes == len(body)
        window.close()
    assert path.read_bytes() == body


def test_a_file_system_without_holes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There the zeros are written."""
    monkeypatch.setattr("bulkhaul.disk.sparse.punch", lambda *_: False)
    path = tmp_path / "file"
    path.write_bytes(b"\xff" * 2 * BLOCK_BYTES)
    with path.open("r+b") as file:
        window = SparseWindow(file.fileno(), 0, 2 * BLOCK_BYTES, memoryview(bytearray(2 * BLOCK_BYTES)))
        window.received(2 * BLOCK_BYTES)
        window.close()
    assert path.read_bytes() == bytes(2 * BLOCK_BYTES)


def test_the_command(server: FaultServer, tmp_path: Path) -> None:
    """``--sparse`` of cp; with mapped files it makes no sense."""
    more = ["--endpoint-url", server.endpoint_url, "--sparse"]
    words: list[str | Path] = ["cp", "s3://bucket/p/holed", tmp_path / "out", *more]
    assert run(*words).returncode == 0
    assert (tmp_path / "out").read_bytes() == HOLED
    assert allocated(tmp_path / "out") <= DATA_BYTES + 4 * BLOCK_BYTES
    done = run(*words, "--landing", "mapped")
    assert done.returncode == 2
    assert "cannot be mapped" in done.stderr
    with pytest.raises(errors.UsageError, match="cannot be mapped"):
        Settings(sparse=True, landing="mapped")
