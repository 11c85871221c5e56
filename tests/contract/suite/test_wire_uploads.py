"""Rows about uploads in parts that only the server sees: C43 to C49, C69."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import bulkhaul.aio
from bulkhaul import TransferResult
from bulkhaul.errors import (
    AccessDenied,
    Conflict,
    OtherError,
    TransferError,
)
from tests.faultserver import (
    CutReceiving,
    Etag,
    Latency,
    RawBody,
    StallReceiving,
    Status,
    make_object,
    reply_lost,
)

from .bodies import Deltas
from .wired import (
    IN_FLIGHT,
    LARGE,
    LARGE_PARTS,
    SETTINGS,
    THRESHOLD_BYTES,
    Wired,
    operations,
    put,
    url_of,
)

PUTS = ("bytes", "path")


def test_c43_parts_are_numbered_and_no_more_at_once_than_allowed(wire: Wired) -> None:
    """Numbers from 1 without a gap; as many in flight as the settings say, at most."""
    go_on = threading.Event()
    wire.fault("c43", StallReceiving(operation="UploadPart", attempt="every", until=go_on))
    putting = threading.Thread(target=wire.store.put_bytes, args=("c43", LARGE))
    putting.start()
    wire.server.wait_for(lambda server: server.max_in_flight_of("UploadPart") == IN_FLIGHT)
    go_on.set()
    putting.join()
    assert sorted(one.part for one in wire.asked("UploadPart")) == list(range(1, LARGE_PARTS + 1))
    assert wire.server.max_in_flight_of("UploadPart") == IN_FLIGHT
    assert wire.store.get_bytes("c43") == LARGE


def test_c44_an_upload_without_an_id_is_refused(wire: Wired) -> None:
    """Nothing can be sent to it; whether there is one is not known, so its journal stays and tells of it."""
    body = b"<InitiateMultipartUploadResult><Bucket>bucket</Bucket><Key>c44</Key></InitiateMultipartUploadResult>"
    wire.fault("c44", RawBody(operation="CreateMultipartUpload", body=body, attempt="every"))
    with pytest.raises(OtherError) as caught:
        wire.store.put_bytes("c44", LARGE)
    assert caught.value.subject == "s3://bucket/c44"
    assert operations(wire, "c44").keys() == {"CreateMultipartUpload"}
    (journal,) = wire.journals()
    journal.unlink()


@pytest.mark.parametrize("operation", ["UploadPart", "UploadPartCopy"])
def test_c44_a_part_without_an_etag_is_refused(wire: Wired, operation: str) -> None:
    """The upload could not be completed; it is aborted."""
    key = f"c44-{operation}"
    wire.fault(key, Etag(operation=operation, etag=None, part=2, attempt="every"))
    wire.server.store.put("bucket", "c44-source", make_object(LARGE))
    calls: dict[str, Callable[[], TransferResult]] = {
        "UploadPart": lambda: wire.store.put_bytes(key, LARGE),
        "UploadPartCopy": lambda: wire.store.copy("c44-source", key),
    }
    with pytest.raises(TransferError, match="ETag"):
        calls[operation]()
    assert operations(wire, key)["AbortMultipartUpload"] >= 1
    assert wire.server.store.get("bucket", key) is None


@pytest.mark.parametrize("how", PUTS)
def test_c46_a_part_that_fails_ends_in_an_awaited_abort(wire: Wired, tmp_path: Path, how: str) -> None:
    """The caller gets the part's error, and by then the upload is gone."""
    key = f"c46-{how}"
    wire.fault(key, Status(operation="UploadPart", code="AccessDenied", part=3, attempt="every"))
    with pytest.raises(AccessDenied) as caught:
        put(wire, how, key, LARGE, tmp_path)
    assert wire.server.store.uploads.pending("bucket") == []
    assert caught.value.subject == f"s3://bucket/{key}"
    assert operations(wire, key)["AbortMultipartUpload"] >= 1


def test_c46_a_completion_that_is_refused_ends_in_an_abort(wire: Wired) -> None:
    """The error is the refusal; nothing is left, and no object was made."""
    wire.fault("c46-complete", Status(operation="CompleteMultipartUpload", code="InvalidPart", attempt="every"))
    with pytest.raises(OtherError) as caught:
        wire.store.put_bytes("c46-complete", LARGE)
    assert caught.value.info.service_code == "InvalidPart"
    assert wire.server.store.uploads.pending("bucket") == []
    assert wire.server.store.get("bucket", "c46-complete") is None


def test_c47_an_abort_that_fails_hides_nothing(wire: Wired, caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets the part's error all the same; the abort's is a warning, and a journal names the upload."""
    refusal = wire.fault("c47", Status(operation="AbortMultipartUpload", code="AccessDenied", attempt="every"))
    wire.fault("c47", Status(operation="UploadPart", code="ConditionalRequestConflict", part=2, attempt="every"))
    with pytest.raises(Conflict):
        wire.store.put_bytes("c47", LARGE)
    assert wire.server.fired(refusal) >= 1
    assert "c47 could not be aborted" in caplog.text
    (journal,) = wire.journals()
    journal.unlink()
    (left,) = wire.server.store.uploads.pending("bucket")
    wire.server.store.uploads.abort(left)


@pytest.mark.parametrize("size", ["upload", "copy"])
def test_c45_a_call_that_is_cancelled_aborts_its_upload(wire: Wired, size: str) -> None:
    """Cancelled between create and complete: the call ends when the upload is gone."""
    key = f"c45-{size}"
    wire.server.store.put("bucket", "c45-source", make_object(LARGE))
    cancelled = threading.Event()
    if size == "upload":
        wire.fault(key, StallReceiving(operation="UploadPart", part=2, attempt="every"))
    else:
        wire.fault(key, StallReceiving(operation="UploadPartCopy", part=2, attempt="every", until=cancelled))

    def part_has_come(_: object) -> bool:
        return any(one.part == 2 for one in wire.asked("UploadPart", "UploadPartCopy", key=key))

    async def main() -> None:
        async with bulkhaul.aio.S3Store.from_url(url_of(wire.server), **SETTINGS) as store:
            work = store.put_bytes(key, LARGE) if size == "upload" else store.copy("c45-source", key)
            task = asyncio.create_task(work)
            await asyncio.to_thread(wire.server.wait_for, part_has_come)
            task.cancel()
            cancelled.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert wire.server.store.uploads.pending("bucket") == []

    asyncio.run(main())
    assert wire.server.store.get("bucket", key) is None


def test_c46_a_completion_whose_reply_is_lost_is_a_success(wire: Wired) -> None:
    """The object is there and has this upload's token: an error after the durable commit would be a lie."""
    fault = wire.fault("c46-lost", reply_lost(operation="CompleteMultipartUpload", attempt="every"))
    result = wire.store.put_bytes("c46-lost", LARGE)
    assert wire.server.fired(fault) >= 1
    assert result.etag == wire.store.head("c46-lost").etag
    assert wire.store.get_bytes("c46-lost") == LARGE


@pytest.mark.parametrize("how", PUTS)
@pytest.mark.parametrize("body", [b"x" * 1000, LARGE], ids=["small", "large"])
def test_c49_progress_adds_up_although_bodies_are_sent_twice(
    wire: Wired, tmp_path: Path, how: str, body: bytes
) -> None:
    """A body that has to be sent again is not counted again."""
    key = f"c49-{how}-{len(body)}"
    operation = "PutObject" if len(body) < THRESHOLD_BYTES else "UploadPart"
    fault = wire.fault(key, CutReceiving(operation=operation, after_bytes=500))
    deltas = Deltas()
    put(wire, how, key, body, tmp_path, progress=deltas)
    assert wire.server.fired(fault) >= 1
    assert deltas.total_bytes == len(body)
    assert min(deltas.seen) > 0


def test_c48_a_copy_has_no_progress_but_all_of_its_bytes(wire: Wired) -> None:
    """No callback belongs to a copy; its result tells its size."""
    wire.server.store.put("bucket", "c48", make_object(LARGE))
    assert wire.store.copy("c48", "c48-copy").size == len(LARGE)
    assert wire.store.get_bytes("c48-copy") == LARGE


@pytest.mark.parametrize(
    ("operation", "call"),
    [
        ("PutObject", lambda wire, key: wire.store.put_bytes(key, b"abc")),
        ("UploadPart", lambda wire, key: wire.store.put_bytes(key, LARGE)),
        ("CompleteMultipartUpload", lambda wire, key: wire.store.put_bytes(key, LARGE)),
        ("UploadPartCopy", lambda wire, key: wire.store.copy("c69-large", key)),
        ("CopyObject", lambda wire, key: wire.store.copy("c69-small", key)),
    ],
)
def test_c69_a_write_may_be_acknowledged_late(
    wire: Wired, operation: str, call: Callable[[Wired, str], TransferResult]
) -> None:
    """The read timeout of a reply does not hold for writes: a store may have to copy or assemble first."""
    wire.server.store.put("bucket", "c69-large", make_object(LARGE))
    wire.server.store.put("bucket", "c69-small", make_object(b"abc"))
    late_s = SETTINGS["timeouts"].read_s + 0.5
    wire.fault(f"c69-{operation}", Latency(operation=operation, seconds=late_s, nth=1))
    assert call(wire, f"c69-{operation}").ok
    assert max(Counter((one.operation, one.part) for one in wire.asked(key=f"c69-{operation}")).values()) == 1
