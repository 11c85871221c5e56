"""How a store ends: closed for good, on one event loop, and collected on whatever thread."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bulkhaul.aio
from bulkhaul import Engine, LocalStore, MemoryStore, ObjectStore, S3Store
from bulkhaul.errors import UsageError
from tests.engines import descendants
from tests.faultserver import FaultServer

from .wired import SETTINGS, url_of, wired_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    """An S3 server that wants signatures, with its keys in the environment."""
    with wired_server(tmp_path_factory.mktemp("state")) as running:
        yield running


async def collect() -> None:
    """Collect garbage on the thread of the loop."""
    gc.collect()


def test_a_store_collected_on_its_engines_thread_ends_its_engine(server: FaultServer) -> None:
    """No thread can wait for itself: another one ends the engine, and no worker stays."""
    before = set(descendants())
    store = S3Store.from_url(url_of(server), **SETTINGS)
    store.probe()
    assert set(descendants()) > before
    engine = store._running()[0]
    store.__dict__["itself"] = store  # only a collection frees it now
    gc.disable()
    try:
        del store
        engine.run(collect)
    finally:
        gc.enable()
    for thread in threading.enumerate():
        if thread.name == "bulkhaul-end":
            thread.join(30)
    assert set(descendants()) <= before


def test_an_engine_refuses_to_end_on_its_own_thread_and_can_be_ended_elsewhere() -> None:
    """A refused close forgets nothing: the engine works on, and the next close ends its workers."""
    before = set(descendants())

    async def end_here() -> None:
        engine.close()

    with Engine(endpoint_url="http://127.0.0.1:1", **SETTINGS) as engine:
        with pytest.raises(UsageError, match="own thread"):
            engine.run(end_here)
        engine.run(collect)
    engine.close()
    assert set(descendants()) <= before
    with pytest.raises(UsageError, match="the engine is closed"):
        engine.run(collect)


@pytest.mark.parametrize("used", [True, False])
def test_a_closed_store_stays_closed(server: FaultServer, used: bool) -> None:
    """No call starts a second engine that nobody would end."""
    before = set(descendants())
    store = S3Store.from_url(url_of(server), **SETTINGS)
    with store:
        if used:
            store.probe()
    with pytest.raises(UsageError, match="closed; make a new one"):
        store.probe()
    with pytest.raises(UsageError, match="closed; make a new one"):
        list(store.list())
    store.close()
    assert set(descendants()) <= before


@pytest.mark.parametrize("used", [True, False])
def test_a_closed_async_store_stays_closed(server: FaultServer, used: bool) -> None:
    """The same for asyncio programs."""
    before = set(descendants())

    async def main() -> None:
        async with bulkhaul.aio.S3Store.from_url(url_of(server), **SETTINGS) as store:
            if used:
                await store.probe()
        with pytest.raises(UsageError, match="closed; make a new one"):
            await store.probe()
        with pytest.raises(UsageError, match="closed; make a new one"):
            await anext(store.list())
        await store.close()

    asyncio.run(main())
    assert set(descendants()) <= before


def test_closing_lets_go_of_an_engine_that_was_given(server: FaultServer) -> None:
    """The store is closed, the engine goes on."""
    with Engine(endpoint_url=f"http://127.0.0.1:{server.port}", **SETTINGS) as engine:
        store = S3Store(S3Store.from_url(url_of(server)).url, engine.settings, engine=engine)
        store.probe()
        store.close()
        with pytest.raises(UsageError, match="closed; make a new one"):
            store.probe()
        assert engine.worker_pids


def test_an_async_store_belongs_to_one_event_loop(server: FaultServer) -> None:
    """Another loop is told so at once, by calls and by close, and the first one goes on."""
    before = set(descendants())
    store = bulkhaul.aio.S3Store.from_url(url_of(server), **SETTINGS)

    async def misplaced() -> None:
        with pytest.raises(UsageError, match="another event loop"):
            await store.probe()
        with pytest.raises(UsageError, match="another event loop"):
            await store.close()

    async def main() -> None:
        await store.probe()
        await asyncio.to_thread(asyncio.run, asyncio.wait_for(misplaced(), 20))
        await store.probe()
        await store.close()

    asyncio.run(main())
    assert set(descendants()) <= before


def test_a_scattered_body_is_refused_before_any_request(server: FaultServer) -> None:
    """C24: a slice with a step is a mistake of the call, and no bare TypeError."""
    with S3Store.from_url(url_of(server), **SETTINGS) as store, pytest.raises(UsageError, match="one after another"):
        store.put_bytes("scattered", memoryview(b"abcdef")[::2])
    assert server.requests_for("PutObject", key="scattered") == []


def test_a_closed_store_of_files_or_memory_answers_nothing(tmp_path: Path) -> None:
    """It says that it is closed, also where an answer needs nothing that it held."""
    local, memory = LocalStore(tmp_path), MemoryStore()
    asked: list[Callable[[ObjectStore], object]] = [
        lambda store: store.get_bytes_range("key", 0, 0),
        lambda store: store.get_ranges("key", []),
        lambda store: store.get_bytes_suffix("key", 0),
        lambda store: store.get_tags("key"),
        lambda store: store.presigned_get_url("key", 60),
    ]
    for store in (local, memory):
        store.put_bytes("key", b"body")
        store.close()
        for ask in asked:
            with pytest.raises(UsageError, match="closed; make a new one"):
                ask(store)
