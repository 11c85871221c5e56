"""Stores that go to other processes: by what they were made from, with no engine and no keys."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bulkhaul import Engine, MemoryStore, S3Store, aio
from bulkhaul.errors import UsageError
from bulkhaul.policy.storeurl import parse_store_url
from tests.engines import ACCESS_KEY, SECRET_KEY, TOKEN, aws_environment, keys, serving
from tests.faultserver import FaultServer, make_object
from tests.integration.command import environment
from tests.patience import PATIENCE_S

KEY = bytes(range(32))
ELSEWHERE = """
import pickle, sys
with pickle.load(sys.stdin.buffer) as store:
    sys.stdout.buffer.write(store.get_bytes("k"))
"""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with one object, and the environment with the keys for it."""
    with serving() as running, aws_environment(keys()):
        running.store.put("bucket", "k", make_object(b"body"))
        yield running


def url_of(server: FaultServer, bucket: str = "bucket") -> str:
    """Return a store's URL."""
    return f"s3+{server.endpoint_url}/{bucket}"


def test_a_store_goes_to_another_process(server: FaultServer) -> None:
    """One that has run, and one that was closed, work there with what is configured there; neither carries secrets."""
    with S3Store.from_url(url_of(server), workers=1) as store:
        assert store.get_bytes("k") == b"body"
        running = pickle.dumps(store)
    closed = pickle.dumps(store)
    assert running == closed
    for secret in (ACCESS_KEY, SECRET_KEY, TOKEN):
        assert secret.encode() not in running
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=closed,
        env=environment(),
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert done.stdout == b"body"
    with pytest.raises(UsageError, match="closed"):
        store.get_bytes("k")


def test_an_async_store_is_made_anew(server: FaultServer) -> None:
    """What comes of it belongs to no event loop yet."""

    async def first() -> bytes:
        async with aio.S3Store.from_url(url_of(server), workers=1) as store:
            await store.get_bytes("k")
            return pickle.dumps(store)

    async def second(pickled: bytes) -> bytes:
        async with pickle.loads(pickled) as store:  # noqa: S301 - our own bytes
            assert type(store) is aio.S3Store
            body: bytes = await store.get_bytes("k")
            return body

    assert asyncio.run(second(asyncio.run(first()))) == b"body"


@pytest.mark.parametrize("kind", [S3Store, aio.S3Store])
def test_stores_are_equal_by_url_and_settings(server: FaultServer, kind: type[S3Store | aio.S3Store]) -> None:
    """Equal ones have one hash, however they were made; any difference counts, and the class."""
    one = kind.from_url(url_of(server), workers=3)
    for same in (kind.from_url(url_of(server), workers=3), copy.copy(one), pickle.loads(pickle.dumps(one))):  # noqa: S301
        assert same is not one
        assert (same, hash(same)) == (one, hash(one))
    for other in (
        kind.from_url(url_of(server), workers=4),
        kind.from_url(url_of(server, "other"), workers=3),
        kind.from_url(url_of(server), workers=3, sse_c_key=KEY),
        (aio.S3Store if kind is S3Store else S3Store).from_url(url_of(server), workers=3),
        None,
    ):
        assert one != other


def test_a_shared_engine_stays_where_it_is(server: FaultServer) -> None:
    """A store of an engine's is pickled with the settings that are in force, and gets an engine of its own."""
    parsed = parse_store_url(url_of(server), allow_http=True)
    with Engine(endpoint_url=server.endpoint_url, workers=1, fsync=True) as engine:
        chosen = S3Store.from_url(url_of(server))._settings
        store = S3Store(parsed, chosen, engine=engine)
        again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
        assert (again, again._settings) == (store, engine.settings)
        assert again._shared is None
        assert again.get_bytes("k") == b"body"
        again.close()
        assert store.get_bytes("k") == b"body"


def test_a_customer_key_goes_along_and_is_not_shown(server: FaultServer) -> None:
    """Without its key a store could not read what it has stored; whoever prints the store does not print the key."""
    store = S3Store.from_url(url_of(server), sse_c_key=KEY)
    assert pickle.loads(pickle.dumps(store))._settings.sse_c_key == KEY  # noqa: S301 - our own bytes
    shown = repr(store) + repr(store._settings)
    assert repr(KEY)[2:-1] not in shown
    assert KEY.hex() not in shown


def test_a_memory_store_is_itself_alone() -> None:
    """Two dicts that happen to hold the same are two; none can be in two processes."""
    one, other = MemoryStore(), MemoryStore()
    assert one == one
    assert one != other
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(one)
