"""Workloads of aws-crt-s3-benchmarks, carried out against a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bulkhaul import Engine
from bulkhaul.benchmark.crt_runs import CrtRun, Ends, crt_runs
from bulkhaul.benchmark.workload_files import CrtTask, CrtWorkload
from bulkhaul.model.errors import NotFound, TransferError, UsageError
from tests.engines import running_engine
from tests.faultserver import FaultServer, make_object

TASKS = (
    CrtTask("download", "download/small", 5),
    CrtTask("download", "download/deep/large", 3 << 20),
    CrtTask("upload", "upload/file", 100_000),
    CrtTask("download", "download/empty", 0),
)


def workload(*tasks: CrtTask, on_disk: bool = True, repeat: int = 2, secs: int = 600, **fields: object) -> CrtWorkload:
    """Return a workload."""
    made = CrtWorkload(2, "", on_disk, None, repeat, secs, tasks or TASKS)
    return msgspec.structs.replace(made, **fields)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with the objects that are downloaded."""
    with FaultServer(buckets=["bucket"]) as running:
        for task in TASKS:
            if task.action == "download":
                running.store.put("bucket", f"in/{task.key}", make_object(b"x" * task.size))
        yield running
        assert running.protocol_errors == []


@pytest.fixture
def ends(tmp_path: Path) -> Ends:
    """The bucket, and a folder with the file that is uploaded."""
    (tmp_path / "files" / "upload").mkdir(parents=True)
    (tmp_path / "files" / "upload" / "file").write_bytes(b"y" * 100_000)
    return Ends("bucket", "in/", "made/", tmp_path / "files")


@pytest.fixture
def engine(server: FaultServer) -> Iterator[Engine]:
    """An engine of the server."""
    with running_engine(server.endpoint_url) as engine:
        yield engine


def runs(engine: Engine, asked: CrtWorkload, ends: Ends) -> list[CrtRun]:
    """Carry a workload out."""

    async def collect() -> list[CrtRun]:
        return [run async for run in crt_runs(engine.aio, asked, ends)]

    return engine.run(collect)


@pytest.mark.parametrize("on_disk", [True, False])
def test_every_task_is_done_in_every_run(server: FaultServer, engine: Engine, ends: Ends, *, on_disk: bool) -> None:
    """Each run moves all bytes of all tasks; uploads are below the given prefix, and no download is left."""
    done = runs(engine, workload(on_disk=on_disk), ends)
    assert [(run.number, run.moved_bytes) for run in done] == [(number, 5 + (3 << 20) + 100_000) for number in (1, 2)]
    assert all(run.seconds > 0 for run in done)
    stored = server.store.in_bucket("bucket")
    assert {key for key in stored if not key.startswith("in/")} == {"made/upload/file"}
    assert (stored["made/upload/file"].body == b"y" * 100_000) is on_disk
    assert len(stored["made/upload/file"].body) == 100_000
    gets = [one for one in server.requests if one.operation == "GetObject" and one.key.startswith("in/download/deep")]
    assert len(gets) >= 2
    assert [str(path.relative_to(ends.folder)) for path in ends.folder.rglob("*")] == ["upload", "upload/file"]


def test_no_run_begins_when_the_time_is_over(engine: Engine, ends: Ends) -> None:
    """After ``maxRepeatSecs`` there is no other run, but one there always is."""
    assert len(runs(engine, workload(repeat=5, secs=0), ends)) == 1


@pytest.mark.parametrize("on_disk", [True, False])
def test_a_run_that_fails_tells_why_and_leaves_nothing(engine: Engine, ends: Ends, *, on_disk: bool) -> None:
    """An object that is missing ends the run with its error, and one of another size is no measurement."""
    missing = workload(CrtTask("download", "download/nowhere", 5), on_disk=on_disk)
    with pytest.raises(NotFound, match="download/nowhere"):
        runs(engine, missing, ends)
    other = workload(CrtTask("download", "download/small", 6), on_disk=on_disk)
    with pytest.raises(UsageError, match="it has 5 bytes, where the workload says 6"):
        runs(engine, other, ends)
    assert [path.name for path in ends.folder.iterdir()] == ["upload"]


def test_the_checksum_that_is_asked_for_is_sent_or_nothing(engine: Engine, ends: Ends) -> None:
    """A workload with a checksum is refused by an engine with another one: its numbers would be of something else."""
    with pytest.raises(TransferError, match="--checksum-algorithm SHA256"):
        runs(engine, workload(checksum="SHA256"), ends)
