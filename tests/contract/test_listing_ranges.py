"""Listings by ranges side by side, from the fault server and real ones: every key once, whatever happens to pages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing

import pytest

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.errors import AccessDenied, OtherError
from bulkhaul.model.objects import ObjectRef
from tests.engines import QUICK, aws_environment, keys, serving
from tests.faultserver import (
    CutBody,
    CutHead,
    Fault,
    FaultServer,
    NoStartAfter,
    RepeatedListToken,
    Stall,
    Status,
    make_object,
)
from tests.servers import RunningServer, ministack, moto, weed

NAMES = sorted(f"many/{number:08x}" for number in random.Random(3).sample(range(2**32), 1500))
PAGE = 20
PAGES = len(NAMES) // PAGE


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server with all the names in it."""
    with serving() as running:
        for name in NAMES:
            running.store.put("bucket", name, make_object(b""))
        yield running


async def listed(
    engine: AsyncEngine,
    prefix: str = "many/",
    *,
    ahead: bool = True,
    after_page: Callable[[list[str]], None] | None = None,
) -> list[str]:
    """Return the keys below a prefix, in the order in which they come, by pages of 20."""
    found: list[str] = []
    async with aclosing(engine.control.pages("bucket", prefix, max_keys=PAGE, ahead=ahead)) as pages:
        async for page in pages:
            found += (named := [one.key for one in page])
            if after_page is not None:
                after_page(named)
    return found


def run(server: FaultServer, after_page: Callable[[list[str]], None] | None = None) -> list[str]:
    """List the names by an engine of two workers, and see that it leaves no request under way."""

    async def listing() -> list[str]:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=2, timeouts=QUICK) as engine:
            return await listed(engine, after_page=after_page)

    with aws_environment(keys()):
        return asyncio.run(listing())


def asked(server: FaultServer) -> int:
    """Return how many pages were asked for."""
    return sum(one.operation == "ListObjectsV2" for one in server.requests)


def test_ranges_are_asked_for_side_by_side(server: FaultServer) -> None:
    """Most pages are of ranges that begin in the middle, and few are asked for in vain."""
    assert run(server) == NAMES
    begun = [one for one in server.requests if "start-after" in one.query]
    assert len(begun) >= 5
    assert asked(server) <= PAGES * 1.5


@pytest.mark.parametrize(
    "fault",
    [
        Status(code="SlowDown", operation="ListObjectsV2", attempt="every", nth=20),
        Status(code="InternalError", operation="ListObjectsV2", attempt="every", nth=12),
        CutHead(operation="ListObjectsV2", attempt="every", nth=15, after_bytes=0, how="reset"),
        CutBody(operation="ListObjectsV2", attempt="every", nth=25, after_bytes=700),
        Stall(operation="ListObjectsV2", attempt="every", nth=9, after_bytes=300),
        NoStartAfter(),
        NoStartAfter(ignored=True),
        NoStartAfter(code="SignatureDoesNotMatch"),
        NoStartAfter(code="InternalError"),
    ],
    ids=[
        "asked for calm",
        "failed",
        "reset",
        "cut",
        "stalled",
        "start-after refused",
        "start-after ignored",
        "start-after breaks the signature",
        "start-after breaks the server",
    ],
)
def test_a_page_in_the_middle_that_fails_once(server: FaultServer, fault: Fault) -> None:
    """It is asked for again, or listed by the stream before it: no key is lost or doubled."""
    server.add_fault(fault)
    assert run(server) == NAMES


def test_a_token_that_repeats(server: FaultServer) -> None:
    """The listing fails, and never looks complete."""
    server.add_fault(RepeatedListToken())
    with pytest.raises(OtherError):
        run(server)


def test_pages_that_are_refused_from_the_middle_on(server: FaultServer) -> None:
    """The listing fails, and never looks complete."""
    taken: list[str] = []

    def deny(named: list[str]) -> None:
        taken.extend(named)
        if len(taken) - len(named) < 10 * PAGE <= len(taken):
            server.add_fault(Status(code="AccessDenied", operation="ListObjectsV2", attempt="every"))

    with pytest.raises(AccessDenied):
        run(server, deny)
    assert taken == NAMES[: len(taken)]


def test_keys_that_are_deleted_as_they_are_listed(server: FaultServer) -> None:
    """As by rm: what has been listed goes, and all the rest is listed all the same."""

    def delete(named: list[str]) -> None:
        for name in named:
            server.store.delete("bucket", name)

    assert run(server, delete) == NAMES


def test_keys_that_are_added_meanwhile(server: FaultServer) -> None:
    """Everything that was there before comes once, in order."""
    rng = random.Random(5)

    def add(_: list[str]) -> None:
        server.store.put("bucket", f"many/{rng.getrandbits(32):08x}", make_object(b""))

    found = run(server, add)
    assert found == sorted(set(found))
    assert set(NAMES) <= set(found)


def test_a_listing_that_is_left_in_the_middle(server: FaultServer) -> None:
    """Nothing of it is under way any more."""

    async def left() -> set[asyncio.Task[object]]:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=2) as engine:
            before = asyncio.all_tasks()
            async with aclosing(engine.control.pages("bucket", "many/", max_keys=PAGE)) as pages:
                for _ in range(12):
                    await anext(pages)
            return asyncio.all_tasks() - before

    with aws_environment(keys()):
        assert asyncio.run(left()) == set()


# Real servers

TREES = {
    "hashes": [f"{number:06x}" for number in random.Random(4).sample(range(2**24), 400)],
    "folders": [
        f"2024/{month:02}/{day:02}/{hour:02}.gz" for month in (1, 2, 11) for day in (1, 9, 30) for hour in range(24)
    ],
    "dashes beside folders": [
        name
        for number in range(80)
        for name in (f"{number:02}-b", f"{number:02}/a", f"{number:02}/c", f"{number:02}.d")
    ],
    "not ASCII": [f"{letter}{number:03}" for letter in "aäß日\ufffd😀" for number in range(40)],
}


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, RunningServer]]:
    """SeaweedFS, whose order is not that of bytes, moto and ministack, with the same keys."""
    with ExitStack() as stack:
        running = {
            "weed": stack.enter_context(weed()),
            "moto": stack.enter_context(moto()),
            "ministack": stack.enter_context(ministack()),
        }
        for one in running.values():
            fill(one)
        yield running


def fill(server: RunningServer) -> None:
    """Store an empty object for each key."""
    server.client().create_bucket(Bucket="bucket")
    refs = [ObjectRef("bucket", f"{tree}/{name}") for tree, found in TREES.items() for name in found]

    async def store() -> None:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=1) as engine:
            await asyncio.gather(*(engine.put_bytes(ref, b"") for ref in refs))

    with aws_environment(server.keys()):
        asyncio.run(store())


@pytest.mark.parametrize("name", ["weed", "moto", "ministack"])
@pytest.mark.parametrize("tree", TREES)
def test_real_servers(servers: dict[str, RunningServer], name: str, tree: str) -> None:
    """What comes by ranges is what one stream lists: all keys, in the service's order."""
    server = servers[name]

    async def both() -> tuple[list[str], list[str]]:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=2) as engine:
            return await listed(engine, f"{tree}/", ahead=False), await listed(engine, f"{tree}/")

    with aws_environment({"AWS_ACCESS_KEY_ID": server.access_key, "AWS_SECRET_ACCESS_KEY": server.secret_key}):
        stream, ranges = asyncio.run(both())
    assert ranges == stream
    assert sorted(ranges) == sorted(f"{tree}/{one}" for one in TREES[tree])
