"""Objects as file objects of Python: what is read and written, in what requests, and what a failure leaves behind."""

from __future__ import annotations

import asyncio
import csv
import gc
import io
import pickle
import random
import signal
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import aclosing
from itertools import pairwise
from traceback import walk_stack
from typing import Any, BinaryIO, cast

import pytest

import bulkhaul
from bulkhaul import Engine, ObjectRef, errors
from bulkhaul.engine.files.reader import ObjectReader
from bulkhaul.engine.loop.portal import Portal
from bulkhaul.model.objects import Content
from bulkhaul.model.writing import ObjectOptions
from tests.engines import aws_environment, eventually, keys, more_open, open_descriptors, running_engine, serving
from tests.faultserver import MIB, FaultServer, FlipBit, Stall, Status
from tests.patience import PATIENCE_S

BODY = random.Random(5).randbytes(9 * MIB + 321)
URL = "s3://bucket/body"


@pytest.fixture(scope="module", params=["fast", "sdk"])
def served(request: pytest.FixtureRequest) -> Iterator[tuple[FaultServer, Engine]]:
    """A server with one object, and an engine of one transport that asks it."""
    with serving() as server, running_engine(server.endpoint_url, transport=request.param) as engine:
        engine.upload_bytes(BODY, URL)
        yield server, engine


def test_a_reader_is_a_seekable_file(served: tuple[FaultServer, Engine]) -> None:
    """Reading, seeking and telling give what a local file of these bytes gives, whatever the order."""
    _, engine = served
    local, chance = io.BytesIO(BODY), random.Random(7)
    with engine.open(URL) as file:
        assert (file.readable(), file.seekable(), file.writable()) == (True, True, False)
        assert (file.name, file.size, file.mode) == (URL, len(BODY), "rb")
        for _ in range(60):
            match chance.randrange(5):
                case 0:
                    where = (chance.randrange(len(BODY) + 100), 0)
                case 1:
                    where = (-chance.randrange(len(BODY)), 2)
                case _:
                    where = (0, 1)
            assert file.seek(*where) == local.seek(*where)
            count = chance.choice([0, 1, 700, 70_000, 3 * MIB])
            assert file.read(count) == local.read(count)
            assert file.tell() == local.tell()
        assert (file.seek(0), file.read() == BODY, file.read()) == (0, True, b"")
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_reading_on_needs_few_requests_and_a_footer_a_small_one(served: tuple[FaultServer, Engine]) -> None:
    """A read to the end asks for each byte once, in blocks; one at the end asks for 128 KiB at most."""
    server, engine = served
    engine.upload_bytes(BODY, "s3://bucket/ranges")

    def asked() -> list[tuple[int, int]]:
        ranges = [request.headers["range"] for request in server.requests_for("GetObject", "ranges")]
        spans = [value.removeprefix("bytes=").split("-") for value in ranges]
        return [(int(first), int(last) + 1) for first, last in spans]

    with engine.open("s3://bucket/ranges") as file:
        file.seek(-8, io.SEEK_END)
        assert file.read() == BODY[-8:]
    assert asked() == [(len(BODY) - 8, len(BODY))]
    with engine.open("s3://bucket/ranges") as file:
        assert hash(b"".join(iter(lambda: file.read(50_000), b""))) == hash(BODY)
    spans = sorted(asked()[1:])
    assert spans[0] == (0, 128 * 1024)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    assert spans[-1][1] == len(BODY)
    assert len(spans) <= 8


def test_formats_read_through_it(served: tuple[FaultServer, Engine]) -> None:
    """An archive and a table of text are read without being downloaded."""
    _, engine = served
    with engine.open("s3://bucket/made.zip", "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("big", BODY)
        archive.writestr("small", b"hello")
    with engine.open("s3://bucket/made.zip") as found, zipfile.ZipFile(found) as archive:
        assert (archive.read("small"), archive.read("big") == BODY) == (b"hello", True)
    with engine.open("s3://bucket/table.csv", "wb") as file:
        file.write("a,ü\r\n1,2\r\n".encode())
    with engine.open("s3://bucket/table.csv") as found, io.TextIOWrapper(found, encoding="utf-8", newline="") as text:
        assert list(csv.reader(text)) == [["a", "ü"], ["1", "2"]]


def test_a_detached_reader_can_be_shown(served: tuple[FaultServer, Engine]) -> None:
    """As io's own can."""
    _, engine = served
    reader = engine.open(URL)
    reader.detach()
    assert "detached" in repr(reader)


def test_a_replaced_object_is_not_mixed_with_the_new_one(served: tuple[FaultServer, Engine]) -> None:
    """All bytes are of the version that was opened: once it is gone, reading fails and says so."""
    _, engine = served
    url = "s3://bucket/replaced"
    engine.upload_bytes(BODY, url)
    with engine.open(url) as file:
        assert file.read(10) == BODY[:10]
        engine.upload_bytes(bytes(len(BODY)), url)
        file.seek(5 * MIB)
        with pytest.raises(errors.PreconditionFailed, match="the object changed") as caught:
            file.read(10)
    assert caught.value.subject == url


def test_an_object_that_is_gone_is_named(served: tuple[FaultServer, Engine]) -> None:
    """A program with many open files learns which one it was; also one that has all bytes shown to it."""
    _, engine = served
    url = "s3://bucket/gone"
    engine.upload_bytes(BODY, url)
    remote = engine.run(engine.aio.control.look, ObjectRef("bucket", "gone"), "")
    with engine.open(url) as file:
        assert file.read(10) == BODY[:10]
        engine.delete(url)
        file.seek(5 * MIB)
        with pytest.raises(errors.NotFound) as caught:
            file.read(10)
        assert caught.value.subject == url
        with pytest.raises(errors.NotFound) as caught:
            engine.read_through(remote, len)
        assert caught.value.subject == url


def test_a_missing_object_and_a_wrong_use_are_told(served: tuple[FaultServer, Engine]) -> None:
    """Errors are those of the engine, and come when the object is opened."""
    _, engine = served
    with pytest.raises(errors.NotFound, match="bucket/none"):
        engine.open("s3://bucket/none")
    with pytest.raises(errors.UsageError, match="'rb' or 'wb'"):
        cast("Any", engine).open(URL, "r")
    with pytest.raises(errors.UsageError, match="written"):
        cast("Any", engine).open(URL, "rb", options=ObjectOptions(tags={"a": "b"}))
    with engine.open(URL) as file, pytest.raises(TypeError, match="pickle"):
        pickle.dumps(file)


@pytest.mark.parametrize("size", [0, 1, 4 * MIB - 1, 4 * MIB, 30 * MIB + 5])
def test_what_is_written_is_stored_when_it_is_closed(served: tuple[FaultServer, Engine], size: int) -> None:
    """An object of any length is exactly what was written, with its options, and is not there before."""
    server, engine = served
    key, body = f"written-{size}", random.Random(size).randbytes(size)
    options = ObjectOptions(content=Content(content_type="text/x-made", metadata={"who": "me"}))
    with engine.open(f"s3://bucket/{key}", "wb", options=options) as file:
        for at in range(0, size, 700_000):
            assert file.write(memoryview(body)[at : at + 700_000]) == len(body[at : at + 700_000])
        assert file.tell() == size
        assert not server.requests_for("CompleteMultipartUpload", key)
        with pytest.raises(errors.NotFound):
            engine.head(f"s3://bucket/{key}")
    assert file.result is not None
    assert (file.result.size, file.result.integrity) == (size, "checksum")
    assert engine.get_bytes(f"s3://bucket/{key}") == body
    head = engine.head(f"s3://bucket/{key}")
    assert (head.content.content_type, head.content.metadata) == ("text/x-made", {"who": "me"})
    if size < 4 * MIB:
        assert len(server.requests_for("PutObject", key)) == 1


def fail_after_writing(file: BinaryIO | io.BufferedIOBase, size: int) -> None:
    """Write something, and fail."""
    file.write(bytes(size))
    raise ZeroDivisionError


@pytest.mark.parametrize("size", [5, 20 * MIB])
@pytest.mark.parametrize("how", ["raise", "abort", "forget"])
def test_what_is_not_closed_is_not_stored(served: tuple[FaultServer, Engine], size: int, how: str) -> None:
    """An exception, an abort or a forgotten file leave the old object, no upload and no descriptor."""
    server, engine = served
    key = f"broken-{size}-{how}"
    engine.upload_bytes(b"old", f"s3://bucket/{key}")
    before = open_descriptors()
    file = engine.open(f"s3://bucket/{key}", "wb")
    match how:
        case "raise":
            with pytest.raises(ZeroDivisionError), file:
                fail_after_writing(file, size)
        case "abort":
            file.write(bytes(size))
            file.abort()
        case _:
            file.write(bytes(size))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                del file
                gc.collect()
            assert ["nothing is stored" in str(warning.message) for warning in caught] == [True]
    assert engine.get_bytes(f"s3://bucket/{key}") == b"old"
    assert not server.store.uploads.pending("bucket")
    assert not more_open(before)


def test_a_failed_write_says_why(served: tuple[FaultServer, Engine]) -> None:
    """A service that refuses ends the writer's wait with its reason, and every later call."""
    server, engine = served
    server.add_fault(Status(code="AccessDenied", operation="CreateMultipartUpload", key="refused", attempt="every"))
    file = engine.open("s3://bucket/refused", "wb")
    with pytest.raises(errors.AccessDenied), file:
        file.write(bytes(400 * MIB))
    assert file.closed
    assert file.result is None


def test_an_engine_that_ends_ends_its_files(served: tuple[FaultServer, Engine]) -> None:
    """Files of a closed engine fail with an error that says so; nothing hangs, and nothing is stored."""
    server, _ = served
    with aws_environment(keys()), Engine(endpoint_url=server.endpoint_url, workers=2) as engine:
        engine.upload_bytes(BODY, "s3://bucket/ended")
        reader, writer = engine.open("s3://bucket/ended"), engine.open("s3://bucket/ended-w", "wb")
        reader.read(1)
        writer.write(bytes(8 * MIB))
    reader.seek(5 * MIB)
    with pytest.raises(errors.UsageError, match="closed"):
        reader.read(1)
    with pytest.raises(errors.Cancelled, match="closed"):
        writer.write(bytes(40 * MIB))
    writer.abort()
    reader.close()
    assert "ended-w" not in server.store.in_bucket("bucket")


def test_an_abort_while_its_engine_ends_is_an_abort(
    served: tuple[FaultServer, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop may end in between the two steps of an abort: it returns, and no descriptor is left."""
    server, _ = served
    with Engine(endpoint_url=server.endpoint_url, workers=1) as engine:
        engine.exists("s3://bucket/key")
    before = open_descriptors()
    with engine:
        writer = engine.open("s3://bucket/ending", "wb")
        writer.write(bytes(6 * MIB))
        running = engine._running

        def ending() -> Portal:
            portal = running()
            engine.close()
            return portal

        with monkeypatch.context() as patched:
            patched.setattr(engine, "_running", ending)
            writer.abort()
    gc.collect()
    eventually(lambda: not more_open(before), "descriptors are left")
    assert not server.store.uploads.pending("bucket")


def test_an_abort_that_is_interrupted_goes_on(served: tuple[FaultServer, Engine]) -> None:
    """Ctrl-C while it waits, before the engine has even heard of it: nothing is stored, and no descriptor is left."""
    server, engine = served
    main = threading.get_ident()
    before = open_descriptors()
    writer = engine.open("s3://bucket/interrupted", "wb")
    writer.write(bytes(6 * MIB))

    def waits() -> bool:
        frames = walk_stack(sys._current_frames()[main])
        return any(frame.f_code.co_name == "result" for frame, _ in frames)

    def interrupted() -> bool:
        if waits():  # a signal that comes just before a lock is waited for is seen when that wait ends
            signal.pthread_kill(main, signal.SIGINT)
        return not waits()

    def interrupt() -> None:
        eventually(waits, "the abort waits")
        eventually(interrupted, "the abort is interrupted")

    engine._running().soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.abort()
    eventually(lambda: not more_open(before), "the writer's descriptors stay open")
    assert not engine.exists("s3://bucket/interrupted")
    assert not server.store.uploads.pending("bucket")


def test_a_read_that_waits_when_its_engine_ends_says_so(served: tuple[FaultServer, Engine]) -> None:
    """Another thread closes the engine while a read waits for a silent service: that read ends, with a typed error."""
    server, _ = served
    with aws_environment(keys()), Engine(endpoint_url=server.endpoint_url, workers=2) as engine:
        engine.upload_bytes(BODY, "s3://bucket/silent-read")
        file = engine.open("s3://bucket/silent-read")
        server.add_fault(Stall(key="silent-read", seconds=PATIENCE_S, attempt="every"))
        waits = threading.Timer(0.5, engine.close)
        waits.start()
        with pytest.raises(errors.Cancelled, match="closed"):
            file.read(10)
        waits.join()


def test_chunks_are_the_object_in_order(served: tuple[FaultServer, Engine]) -> None:
    """Sync and async: the bytes of the object or of a range, and an error for one that it does not hold."""
    _, engine = served
    assert b"".join(engine.chunks(URL)) == BODY
    assert b"".join(engine.chunks(URL, start=5, end=6 * MIB)) == BODY[5 : 6 * MIB]
    assert b"".join(engine.chunks(URL, start=9 * MIB)) == BODY[9 * MIB :]
    assert list(engine.chunks(URL, start=7, end=7)) == []
    with pytest.raises(errors.RangeNotSatisfiable):
        list(engine.chunks(URL, start=5, end=len(BODY) + 1))
    pieces = engine.chunks(URL)
    next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # a generator

    async def first() -> bytes:
        async with aclosing(engine.aio.chunks(URL)) as found:
            async for chunk in found:
                return chunk
        return b""

    assert BODY.startswith(engine.run(first))


def test_damaged_chunks_never_end_well() -> None:
    """A whole object that is not what its checksum promises ends with an error before its last chunk."""
    with serving() as server, running_engine(server.endpoint_url) as engine:
        engine.upload_bytes(BODY, URL)
        server.add_fault(FlipBit(offset=3 * MIB, key="body", attempt="every"))
        seen: list[bytes] = []
        with pytest.raises(errors.IntegrityError):
            seen.extend(engine.chunks(URL))
        assert sum(map(len, seen)) < len(BODY)


class Slow(io.RawIOBase):
    """A file that gives a little at a time, and then fails or ends."""

    def __init__(self, body: bytes, error: Exception | None = None) -> None:
        self._body = io.BytesIO(body)
        self._error = error

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give at most 100,000 bytes."""
        data = self._body.read(min(len(buffer), 100_000))
        if not data and self._error is not None:
            raise self._error
        buffer[: len(data)] = data
        return len(data)


@pytest.mark.parametrize("size", [0, 10, 12 * MIB + 1])
def test_streams_take_file_objects(served: tuple[FaultServer, Engine], size: int) -> None:
    """A file object in memory is uploaded and written as a descriptor is."""
    _, engine = served
    body = random.Random(size).randbytes(size)
    url = f"s3://bucket/file-{size}"
    before = open_descriptors()
    assert engine.upload_stream(cast("BinaryIO", Slow(body)), url).size == size
    sink = io.BytesIO()
    assert engine.download_stream(url, sink).integrity == "checksum"
    assert sink.getvalue() == body
    assert not more_open(before)


def test_a_file_object_that_fails_stores_nothing(served: tuple[FaultServer, Engine]) -> None:
    """Its own exception comes back, no object is made of what it gave before, and no upload is left."""
    server, engine = served
    before = open_descriptors()
    for size in (10, 20 * MIB):
        with pytest.raises(ZeroDivisionError, match="mine"):
            engine.upload_stream(cast("BinaryIO", Slow(bytes(size), ZeroDivisionError("mine"))), "s3://bucket/failed")
    assert "failed" not in server.store.in_bucket("bucket")
    assert not server.store.uploads.pending("bucket")

    class Full(io.RawIOBase):
        def write(self, _: Any) -> int:
            raise OSError(28, "full")

    with pytest.raises(OSError, match="full"):
        engine.download_stream(URL, cast("BinaryIO", Full()))
    assert not more_open(before)


def test_a_file_object_that_waits_holds_up_no_cancellation(served: tuple[FaultServer, Engine]) -> None:
    """A cancelled upload ends although the file object is silent; its thread ends with its next word."""
    _, engine = served
    going = threading.Event()

    class Silent(io.RawIOBase):
        def read(self, _: int = -1) -> bytes:
            going.wait(PATIENCE_S)
            return b"late"

    future = engine.start_task(engine.aio.upload_stream, cast("BinaryIO", Silent()), "s3://bucket/silent")
    time.sleep(0.2)
    began = time.monotonic()
    future.cancel()
    engine.run(asyncio.sleep, 0)
    assert time.monotonic() - began < PATIENCE_S / 2
    going.set()
    with pytest.raises(errors.NotFound):
        engine.head("s3://bucket/silent")


def test_the_program_shares_an_engine(served: tuple[FaultServer, Engine]) -> None:
    """``bulkhaul.open`` starts one engine for all settings alike; with an engine it takes that one."""
    server, engine = served
    with bulkhaul.open(URL, engine=engine) as file:
        assert file.read(3) == BODY[:3]
    with aws_environment(keys()):
        with bulkhaul.open("s3://bucket/shared", "wb", endpoint_url=server.endpoint_url, workers=2) as made:
            made.write(b"abc")
        from bulkhaul.engine import shared

        count = len(shared._engines)
        with bulkhaul.open("s3://bucket/shared", endpoint_url=server.endpoint_url, workers=2) as found:
            assert isinstance(found, ObjectReader)
            assert found.read() == b"abc"
        assert len(shared._engines) == count
        with pytest.raises(errors.UsageError, match="settings"):
            bulkhaul.open(URL, engine=engine, workers=2)
        for one in shared._engines.values():
            one.close()
