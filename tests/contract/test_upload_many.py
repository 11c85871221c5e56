"""Many small files at once: what they have in common is asked for once, and told to all of them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from bulkhaul import AsyncEngine, errors
from tests.engines import aws_environment, keys
from tests.faultserver import Latency, StallReceiving, Status
from tests.writing import HASTY, WriteRig, running_write_rig, serving_writes

FILES = 40


def fill(folder: Path) -> Path:
    """Make a folder of small files and return it."""
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:02}").write_bytes(b"%d" % number)
    return folder


def located(rig: WriteRig) -> int:
    """Return how often the server was asked for the bucket; beyond AWS, only the SDK's way asks."""
    return len(rig.server.requests_for("HeadBucket"))


def test_bucket_is_located_once(tmp_path: Path) -> None:
    """However many files wait to know where their bucket is, one request asks for it."""
    slow = serving_writes(faults=[Latency(operation="HeadBucket", seconds=0.3)])
    with running_write_rig(tmp_path / "rig", server=slow, transport="sdk") as rig:
        results = list(rig.engine.upload_many(fill(tmp_path / "files"), "s3://bucket/many/"))
        assert [one.failure for one in results] == [None] * FILES
        assert {rig.stored(f"many/{number:02}") for number in range(FILES)} == {b"%d" % n for n in range(FILES)}
        assert located(rig) == 1


def test_bucket_that_cannot_be_located(tmp_path: Path) -> None:
    """All who wait get the one answer: no file asks anew, which would take as long for each of them."""
    broken = Status(operation="HeadBucket", code="InternalError", attempt="every")
    with running_write_rig(tmp_path / "rig", server=serving_writes(faults=[broken]), transport="sdk") as rig:
        results = list(rig.engine.upload_many(fill(tmp_path / "files"), "s3://bucket/many/"))
        assert {one.failure.code if one.failure else "" for one in results} == {"ServerError"}
        asked_by_the_first = located(rig)
        assert (len(results), rig.server.requests_for("PutObject")) == (FILES, [])
        with pytest.raises(errors.ServerError):
            rig.engine.upload(tmp_path / "files" / "00", "s3://bucket/one")
        assert located(rig) == 2 * asked_by_the_first  # the failure is not kept: the next one asks again


def test_first_who_asked_is_cancelled() -> None:
    """The question goes on for the others."""

    async def run(endpoint_url: str) -> bool:
        async with AsyncEngine(endpoint_url=endpoint_url, workers=1, timeouts=HASTY, transport="sdk") as engine:
            first = asyncio.create_task(engine.upload_bytes(b"first", "s3://bucket/first"))
            second = asyncio.create_task(engine.upload_bytes(b"second", "s3://bucket/second"))
            await asyncio.to_thread(server.wait_for, lambda s: bool(s.requests_for("HeadBucket")))
            first.cancel()
            go_on.set()
            await second
            return first.cancelled()

    go_on = threading.Event()
    slow = serving_writes(faults=[StallReceiving(operation="HeadBucket", until=go_on)])
    with slow as server, aws_environment(keys()):
        assert asyncio.run(run(server.endpoint_url))
        stored = server.store.get("bucket", "second")
        assert (stored is not None, server.store.get("bucket", "first")) == (True, None)
        assert len(server.requests_for("HeadBucket")) == 1


def test_nobody_asks_after_the_end() -> None:
    """A question that nobody waits for any more does not outlive its engine, even between two tries."""

    async def run(endpoint_url: str) -> set[asyncio.Task[None]]:
        before = asyncio.all_tasks()
        async with AsyncEngine(endpoint_url=endpoint_url, workers=1, timeouts=HASTY, transport="sdk") as engine:
            writing = asyncio.create_task(engine.upload_bytes(b"body", "s3://bucket/key"))
            await asyncio.to_thread(server.wait_for, lambda s: bool(s.requests_for("HeadBucket")))
            await asyncio.sleep(0.2)  # the reply has come; the pause before the next try takes seconds
            writing.cancel()
            await asyncio.wait([writing])
        await asyncio.sleep(0)  # a task that was woken by the end has one more turn
        return {task for task in asyncio.all_tasks() - before if not task.done()}

    busy = Status(operation="HeadBucket", code="SlowDown", headers={"Retry-After": "15"}, attempt="every")
    with serving_writes(faults=[busy]) as server, aws_environment(keys()):
        assert asyncio.run(run(server.endpoint_url)) == set()
