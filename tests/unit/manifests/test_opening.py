"""Where manifests come from: pipes that wait, files that are none, objects that are not there."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from contextlib import aclosing
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from bulkhaul.jobs.manifests.opening import Opener
from bulkhaul.jobs.manifests.reading import read_manifests
from bulkhaul.model.errors import LocalError, ManifestError, NotFound, UsageError
from tests.patience import PATIENCE_S
from tests.unit.manifests.reading import Bucket, good, read, written


def piped(content: bytes) -> int:
    """Return the end of a pipe that gives these bytes, in pieces."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb", buffering=0) as file:
            for start in range(0, len(content), 1000):
                file.write(content[start : start + 1000])

    threading.Thread(target=write).start()
    return reader


def test_pipe() -> None:
    """A pipe is read as it comes, plain or compressed."""
    text = "".join(f"b-1,key-{n}\n" for n in range(20_000)).encode()
    for content in (text, gzip.compress(text)):
        fd = piped(content)
        assert [row.key for row in good(f"/dev/fd/{fd}")] == [f"key-{n}" for n in range(20_000)]
        os.close(fd)


def test_stdin() -> None:
    """``-`` is stdin, which stays open, and is called so in errors."""
    kept, fd = os.dup(0), piped(b"b-1,a\nb-1,%\n")
    os.dup2(fd, 0)
    try:
        first, bad = read("-")
        os.fstat(0)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(fd)
    assert [first.where, bad.where] == ["stdin:1", "stdin:2"]


def test_parquet_from_a_pipe(tmp_path: Path) -> None:
    """What can only be read from its end is kept on disk meanwhile, if it is piped or compressed."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"bucket": ["b-1"] * 3, "key": ["a", "b", "c"]}), sink)
    for content in (sink.getvalue().to_pybytes(), gzip.compress(sink.getvalue().to_pybytes())):
        fd = piped(content)
        assert [row.key for row in good(f"/dev/fd/{fd}")] == ["a", "b", "c"]
        os.close(fd)
        assert [row.key for row in good(written(tmp_path / "m", content))] == ["a", "b", "c"]


def test_cancelled_while_waiting(tmp_path: Path) -> None:
    """A reader that waits for a pipe that nobody writes to ends when it is cancelled, and its thread with it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    before = threading.active_count()

    async def run() -> None:
        async def wait() -> None:
            async with aclosing(read_manifests([str(fifo)], Opener())) as pages:
                await anext(pages)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE_S)

    asyncio.run(run())
    assert threading.active_count() == before


def test_not_there(tmp_path: Path) -> None:
    """A manifest that cannot be opened is named, and nothing is left behind."""
    with pytest.raises(ManifestError, match=r"no-such: there is no such file"):
        read(tmp_path / "no-such")
    with pytest.raises(LocalError, match=str(tmp_path)):
        read(tmp_path)
    with pytest.raises(UsageError, match="no engine"):
        read("s3://b-1/m")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(NotFound, match="s3://b-1/m"):
        read("s3://b-1/m", opener=Opener(Bucket(tmp_path), temp_folder=str(scratch)))
    assert list(scratch.iterdir()) == []
    with pytest.raises(LocalError, match="missing"):
        read("s3://b-1/m", opener=Opener(Bucket(tmp_path), temp_folder=str(tmp_path / "missing")))


def test_errors_name_the_object(tmp_path: Path) -> None:
    """An object is told by its URL, not by the file that it was fetched to."""
    (tmp_path / "b-1").mkdir()
    (tmp_path / "b-1/m").write_bytes(b"b-1,%\n")
    (bad,) = read("s3://b-1/m", opener=Opener(Bucket(tmp_path)))
    assert bad.where == "s3://b-1/m:1"
