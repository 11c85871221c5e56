"""The engine's own thread never waits for itself: not in finalizers that run there, nor in callbacks."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bulkhaul import Engine, errors
from bulkhaul.model.results import Progress
from tests.engines import aws_environment, eventually, keys, more_open, open_descriptors, running_engine, serving
from tests.faultserver import MIB, FaultServer
from tests.patience import PATIENCE_S


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FaultServer, Engine]]:
    """A server with some objects, and an engine that asks it."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        for number in range(3):
            engine.put_bytes(f"s3://bucket/listed/{number}", b"x")
        yield server, engine


@pytest.fixture
def no_collection() -> Iterator[None]:
    """The garbage collector runs only where a test has it run."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Cycle:
    """Holds something, and itself, so that only the garbage collector finds it."""

    def __init__(self, held: Any) -> None:
        self.held = held
        self.itself = self


async def collect() -> None:
    """Run the garbage collector on the engine's thread."""
    gc.collect()


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("size", [5, 20 * MIB])
@pytest.mark.filterwarnings("ignore:.*was not closed:ResourceWarning")
def test_a_writer_that_is_collected_there_stores_nothing(served: tuple[FaultServer, Engine], size: int) -> None:
    """The engine goes on, what the key had stays, and no upload and no descriptor is left."""
    server, engine = served
    url = f"s3://bucket/collected-{size}"
    engine.put_bytes(url, b"old")
    before = open_descriptors()
    writer = engine.open(url, "wb")
    writer.write(bytes(size))
    Cycle(writer)
    del writer
    engine.start_task(collect).result(PATIENCE_S)
    eventually(lambda: not more_open(before), "the writer's descriptors stay open")
    assert engine.start_task(engine.aio.get_bytes, url).result(PATIENCE_S) == b"old"
    assert not server.store.uploads.pending("bucket")


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("begun", [True, False])
def test_an_iteration_that_is_collected_there_ends(served: tuple[FaultServer, Engine], begun: bool) -> None:
    """The engine goes on, and nothing is logged."""
    _, engine = served
    found = engine.list("s3://bucket/listed/")
    if begun:
        next(found)
    Cycle(found)
    del found
    engine.start_task(collect).result(PATIENCE_S)
    assert engine.start_task(engine.aio.exists, "s3://bucket/listed/0").result(PATIENCE_S)


def test_a_callback_that_calls_its_engine_is_told_why_not() -> None:
    """It would wait for itself; the engine goes on."""
    refused: list[str] = []

    def tell(_: Progress) -> None:
        for call in (lambda: engine.exists("s3://bucket/key"), lambda: list(engine.list("s3://bucket/"))):
            try:
                call()
            except errors.UsageError as error:
                refused.append(str(error))

    with (
        serving() as server,
        aws_environment(keys()),
        Engine(endpoint_url=server.endpoint_url, workers=1, on_progress=tell) as engine,
    ):
        engine.start_task(engine.aio.put_bytes, "s3://bucket/key", b"x").result(PATIENCE_S)
        engine.start_task(engine.aio.upload_bytes, b"x", "s3://bucket/key").result(PATIENCE_S)
        eventually(lambda: bool(refused), "the callback is called")
        assert engine.start_task(engine.aio.exists, "s3://bucket/key").result(PATIENCE_S)
    assert ["call the engine on another thread" in text for text in refused[:2]] == [True, True]


def test_a_callback_that_enters_its_engine_is_told_why_not() -> None:
    """Its last call comes while the engine is closed, and a start would wait for that: the close returns."""
    refused: list[str] = []

    def tell(_: Progress) -> None:
        try:
            with engine:
                pass
        except errors.UsageError as error:
            refused.append(str(error))

    with serving() as server, aws_environment(keys()):
        engine = Engine(endpoint_url=server.endpoint_url, workers=1, on_progress=tell)
        engine.put_bytes("s3://bucket/key", b"x")
        closing = threading.Thread(target=engine.close, daemon=True)
        closing.start()
        closing.join(PATIENCE_S)
        assert not closing.is_alive()
    assert refused
    assert all("cannot be started on its own thread" in text for text in refused)


@pytest.mark.parametrize("call", ["write", "close"])
def test_a_callback_that_writes_is_told_why_not(call: str) -> None:
    """The upload that takes what is written runs on that thread: nothing is stored or left, and the engine goes on."""
    refused: list[str] = []
    writers: list[Any] = []

    def tell(_: Progress) -> None:
        while writers:
            writer = writers.pop()
            try:
                writer.write(bytes(8 * MIB)) if call == "write" else writer.close()
            except errors.UsageError as error:
                refused.append(str(error))
                writer.abort()

    with serving() as server, aws_environment(keys()):
        before = open_descriptors()
        engine = Engine(endpoint_url=server.endpoint_url, workers=1, on_progress=tell).start()
        engine.put_bytes("s3://bucket/key", b"old")
        writer = engine.open("s3://bucket/key", "wb")
        writer.write(bytes(6 * MIB))
        writers.append(writer)
        engine.start_task(engine.aio.exists, "s3://bucket/key").result(PATIENCE_S)
        engine.start_task(engine.aio.put_bytes, "s3://bucket/other", b"x").result(PATIENCE_S)
        eventually(lambda: bool(refused), "the callback is called")
        assert engine.start_task(engine.aio.get_bytes, "s3://bucket/key").result(PATIENCE_S) == b"old"
        eventually(lambda: not server.store.uploads.pending("bucket"), "an upload is left")
        engine.close()
        eventually(lambda: not more_open(before), "the writer's descriptors stay open")
    assert "call the engine on another thread" in refused[0]
