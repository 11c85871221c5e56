"""The same contract for asyncio programs: every method of `bulkhaul.aio.S3Store`, awaited."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

import bulkhaul.aio
from bulkhaul import Engine, ObjectStore, S3Store
from bulkhaul.errors import InvalidUrl, NotFound, UsageError
from bulkhaul.model.objects import ObjectInfo
from tests.engines import descendants
from tests.faultserver import FaultServer

from .bodies import Deltas
from .wired import LARGE, SETTINGS, url_of, wired_server

METHODS = {name for name, _ in inspect.getmembers(ObjectStore, inspect.isfunction) if not name.startswith("_")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    """An S3 server that wants signatures, with its keys in the environment."""
    with wired_server(tmp_path_factory.mktemp("state")) as running:
        yield running


def on_store(server: FaultServer, work: Callable[[bulkhaul.aio.S3Store], Awaitable[None]]) -> None:
    """Run a coroutine on a store of its own."""

    async def main() -> None:
        async with bulkhaul.aio.S3Store.from_url(url_of(server), **SETTINGS) as store:
            await work(store)

    asyncio.run(main())


async def listed(store: bulkhaul.aio.S3Store, prefix: str = "") -> list[ObjectInfo]:
    """Return a whole listing."""
    return [info async for info in store.list(prefix)]


def test_both_stores_have_every_method_of_a_store() -> None:
    """Neither the blocking nor the async store misses a method, and their parameters are the protocol's."""
    assert len(METHODS) == 25
    for kind in (S3Store, bulkhaul.aio.S3Store):
        for name in METHODS - ({"open"} if kind is bulkhaul.aio.S3Store else set()):  # files block
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(
                inspect.signature(getattr(ObjectStore, name)).parameters
            ), name


def test_objects_are_put_and_read(server: FaultServer, tmp_path: Path) -> None:
    """put_bytes, put_path, put_if_absent, head, get_bytes, get_bytes_range and get_to_file."""

    async def work(store: bulkhaul.aio.S3Store) -> None:
        deltas = Deltas()
        stored = await store.put_bytes("bytes", LARGE, metadata={"Owner": "Ann"}, progress=deltas)
        (tmp_path / "source").write_bytes(LARGE)
        assert (await store.put_path("path", tmp_path / "source")).size == len(LARGE)
        assert await store.put_if_absent("lock", b"") is True
        assert await store.put_if_absent("lock", b"") is False
        info = await store.head("bytes")
        assert (info.size, info.etag, info.metadata) == (len(LARGE), stored.etag, {"owner": "Ann"})
        assert await store.get_bytes("path") == LARGE
        assert await store.get_bytes_range("bytes", 5, 99) == LARGE[5:99]
        result = await store.get_to_file("bytes", tmp_path / "restored")
        assert (result.etag, (tmp_path / "restored").read_bytes()) == (stored.etag, LARGE)
        assert deltas.total_bytes == len(LARGE)

    on_store(server, work)


def test_objects_are_listed_copied_signed_and_removed(server: FaultServer) -> None:
    """list, probe, copy, presigned_get_url and delete."""

    async def work(store: bulkhaul.aio.S3Store) -> None:
        await store.probe("few/")
        await store.put_bytes("few/a", b"abc")
        await store.copy("few/a", "few/b")
        assert sorted([(info.key, info.size, info.etag) for info in await listed(store, "few/")]) == [
            ("few/a", 3, None),
            ("few/b", 3, None),
        ]
        assert "X-Amz-Signature=" in await store.presigned_get_url("few/b", 60)
        await store.delete("few/a")
        with pytest.raises(NotFound):
            await store.delete("few/a")
        assert [info.key for info in await listed(store, "few/")] == ["few/b"]

    on_store(server, work)


def test_one_loop_carries_many_calls(server: FaultServer) -> None:
    """Calls that are gathered run at the same time, on one engine."""

    async def work(store: bulkhaul.aio.S3Store) -> None:
        await asyncio.gather(*(store.put_bytes(f"many/{number}", b"%d" % number) for number in range(50)))
        bodies = await asyncio.gather(*(store.get_bytes(f"many/{number}") for number in range(50)))
        assert bodies == [b"%d" % number for number in range(50)]

    on_store(server, work)


def test_a_store_ends_its_own_engine_and_no_other(server: FaultServer) -> None:
    """Workers of a store's own engine are gone after it; an engine that was given goes on. Closing twice is safe."""
    before = set(descendants())

    async def main() -> None:
        own = bulkhaul.aio.S3Store.from_url(url_of(server), **SETTINGS)
        await own.put_bytes("engines", b"x")
        assert set(descendants()) > before
        await own.close()
        await own.close()
        assert set(descendants()) <= before
        endpoint_url = f"http://127.0.0.1:{server.port}"
        async with bulkhaul.aio.Engine(endpoint_url=endpoint_url, **SETTINGS) as engine:
            for _ in range(2):
                async with bulkhaul.aio.S3Store(own.url, engine.settings, engine=engine) as shared:
                    assert await shared.get_bytes("engines") == b"x"

    asyncio.run(main())


def test_a_blocking_store_ends_its_own_engine_and_no_other(server: FaultServer) -> None:
    """The same for programs without an event loop."""
    before = set(descendants())
    with S3Store.from_url(url_of(server), **SETTINGS) as own:
        own.put_bytes("engines", b"x")
        assert set(descendants()) > before
    own.close()
    assert set(descendants()) <= before
    with Engine(endpoint_url=f"http://127.0.0.1:{server.port}", **SETTINGS) as engine:
        for _ in range(2):
            with S3Store(own.url, engine.settings, engine=engine) as shared:
                assert shared.get_bytes("engines") == b"x"
        assert engine.worker_pids


def test_a_wrong_call_starts_nothing(server: FaultServer) -> None:
    """A wrong URL or setting is told before there is an engine, and a store that was never used has none."""
    before = set(descendants())

    async def main() -> None:
        with pytest.raises(InvalidUrl):
            bulkhaul.aio.S3Store.from_url("ftp://nowhere")
        with pytest.raises(UsageError, match="no such setting"):
            bulkhaul.aio.S3Store.from_url(url_of(server), workerz=2)  # type: ignore[call-arg]
        async with bulkhaul.aio.S3Store.from_url(url_of(server), **SETTINGS) as store:
            with pytest.raises(UsageError):
                await store.head("")
            assert set(descendants()) <= before

    asyncio.run(main())
