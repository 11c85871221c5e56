"""Restores of many objects: listings that lie or break off, checksums that only replies tell, results left waiting."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3.response import BaseHTTPResponse

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.errors import NotFound, OtherError, TransferError, UnexpectedReply
from bulkhaul.model.objects import Integrity
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.head_object import head_object
from tests.engines import assert_nothing_held, aws_environment, keys, running_rig, serving
from tests.faultserver import (
    ChunkedTransfer,
    Fault,
    FaultServer,
    FlipBit,
    RawBody,
    RepeatedListToken,
    StallReceiving,
    Status,
    make_object,
)
from tests.unit.test_sdk_client import settings

SMALL = 64 * 1024
BODY = bytes(range(256)) * (SMALL * 3 // 256)

TRUNCATED = (
    b'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><KeyCount>1</KeyCount><IsTruncated>true</IsTruncated>'
    b"<Contents><Key>many/000</Key><Size>0</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
    b"</ListBucketResult>"
)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(TRUNCATED, OtherError), (b"<html>welcome</html>", UnexpectedReply)],
    ids=["goes on, but not where", "no listing"],
)
def test_a_listing_that_breaks_off_is_no_success(tmp_path: Path, reply: bytes, kind: type[TransferError]) -> None:
    """What a listing may have left out is an error: fewer objects than there are is never called all of them."""
    with running_rig(tmp_path) as rig:
        rig.server.store.put("bucket", "many/000", make_object(b""))
        rig.server.add_fault(RawBody(body=reply, operation="ListObjectsV2", attempt="every"))
        with pytest.raises(kind):
            list(rig.engine.download_many("s3://bucket/many/", tmp_path / "many"))


@pytest.mark.parametrize("flipped", [False, True], ids=["intact", "one bit flipped"])
def test_a_small_composite_object_is_checked(tmp_path: Path, flipped: bool) -> None:
    """An object that a listing found is checked against its composite checksum like one that was asked for singly."""
    stored = make_object(BODY, algorithm="CRC32C", checksum_type="COMPOSITE", part_size_bytes=SMALL)
    with running_rig(tmp_path) as rig:
        rig.server.store.put("bucket", "many/one", stored)
        if flipped:
            rig.server.add_fault(FlipBit(offset=5, key="many/one", attempt="every"))
        (result,) = rig.engine.download_many("s3://bucket/many/", tmp_path / "many")
        if flipped:
            assert result.failure is not None
            assert result.failure.code == "IntegrityError"
            assert not (tmp_path / "many").exists()  # it was made for what did not come
        else:
            assert result.integrity is Integrity.CHECKSUM
            assert (tmp_path / "many" / "one").read_bytes() == BODY


def test_waiting_results_hold_back_the_rest(tmp_path: Path) -> None:
    """Results that nobody takes stop the fetching of more, and leaving them all behind ends the restore."""
    with running_rig(tmp_path, concurrency=1) as rig:
        for number in range(700):
            rig.server.store.put("bucket", f"many/{number:04}", make_object(b"x"))
        results = rig.engine.download_many("s3://bucket/many/", tmp_path / "many")
        assert next(results).error is None
        results.close()  # type: ignore[attr-defined] # it is a generator
        assert_nothing_held(rig.engine, tmp_path)
        assert rig.engine.progress().planning_done


NAMES = [f"many/{number:03}" for number in range(230)]


def listed_ahead(server: FaultServer, *, kill_after: int = 0) -> list[list[str]]:
    """List the names in pages of 50, each asked for ahead.

    Args:
        kill_after: kill all workers when so many pages have been asked for, and the last one is not answered.
    """

    def kill(engine: AsyncEngine) -> None:
        server.wait_for(lambda it: len(tokens(it)) >= kill_after)
        for pid in engine.worker_pids:
            os.kill(pid, signal.SIGKILL)
        killed.set()

    killed = threading.Event()
    if kill_after:
        server.add_fault(StallReceiving(operation="ListObjectsV2", nth=kill_after, until=killed))

    async def listing() -> list[list[str]]:
        async with AsyncEngine(endpoint_url=server.endpoint_url, workers=2) as engine:
            killing = asyncio.create_task(asyncio.to_thread(kill, engine)) if kill_after else None
            pages = engine.control.pages("bucket", "many/", max_keys=50, ahead=True)
            found = [[one.key for one in page] async for page in pages]
            if killing is not None:
                await killing
            return found

    with aws_environment(keys()):
        return asyncio.run(listing())


@pytest.fixture
def filled() -> Iterator[FaultServer]:
    """A server with all the names in it."""
    with serving() as server:
        for name in NAMES:
            server.store.put("bucket", name, make_object(b""))
        yield server


def tokens(server: FaultServer) -> list[str]:
    """Return what pages were asked for with, in order."""
    return [one.query.get("continuation-token", "") for one in server.requests if one.operation == "ListObjectsV2"]


def test_pages_that_are_asked_for_ahead_come_in_order(filled: FaultServer) -> None:
    """Every key comes once, in order, and few pages are asked for in vain."""
    assert [key for page in listed_ahead(filled) for key in page] == NAMES
    assert 5 <= len(tokens(filled)) <= 8


@pytest.mark.parametrize("died", [1, 2, 3])
def test_workers_that_die_cost_no_key(filled: FaultServer, died: int) -> None:
    """All workers die with pages in hand: the listing goes on with new ones, without a gap and with no key twice."""
    assert [key for page in listed_ahead(filled, kill_after=died) for key in page] == NAMES
    assert len(tokens(filled)) > 5


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (
            [Status(code="NoSuchBucket", operation="ListObjectsV2", attempt="every", nth=n) for n in range(3, 40)],
            NotFound,
        ),
        ([RepeatedListToken()], OtherError),
    ],
    ids=["later pages are refused", "the token repeats"],
)
def test_what_a_later_page_says_is_heard(filled: FaultServer, faults: list[Fault], kind: type[TransferError]) -> None:
    """A page that was asked for ahead fails the listing like any other, unless one stream can do without it."""
    for fault in faults:
        filled.add_fault(fault)
    with pytest.raises(kind):
        listed_ahead(filled)


@pytest.mark.parametrize("endless", [False, True], ids=["announced", "in chunks"])
def test_a_document_without_end_is_not_read_to_it(tmp_path: Path, *, endless: bool) -> None:
    """A reply that would fill the memory is refused at a bound that no listing comes near."""
    reply = TRUNCATED + b"<Contents>" + b"x" * (17 * 1024 * 1024)
    with running_rig(tmp_path) as rig:
        rig.server.add_fault(RawBody(body=reply, operation="ListObjectsV2", attempt="every"))
        if endless:
            rig.server.add_fault(ChunkedTransfer(operation="ListObjectsV2", attempt="every"))
        with pytest.raises(UnexpectedReply, match="16 MiB"):
            list(rig.engine.download_many("s3://bucket/many/", tmp_path / "out"))


def test_a_reply_leaves_nothing_to_collect() -> None:
    """What a reply held is free when it has been read: thousands of them wait for no garbage collector."""
    with FaultServer({"bucket/key": b"x"}) as server:
        sdk = SdkClient(settings(endpoint_url=server.endpoint_url, sign_requests=False))
        assert head_object(sdk, "bucket", "key").size == 1
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                head_object(sdk, "bucket", "key")
            assert [one for one in gc.get_objects() if isinstance(one, BaseHTTPResponse)] == []
        finally:
            gc.enable()
