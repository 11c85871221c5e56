"""Pipes as sources and destinations: of any length, slow, dying, cancelled; in bounded memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import msgspec
import pytest

from bulkhaul import TransferResult, errors
from bulkhaul.errors import TransferError
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.settings import Timeouts
from tests.engines import eventually, waiting_in
from tests.faultserver import (
    MIB,
    CutBody,
    CutReceiving,
    Fault,
    FlipBit,
    FlipReceivedBit,
    ReplaceObject,
    Status,
    StoredObject,
    make_object,
    storm,
)
from tests.patience import PATIENCE_S, SOON_S
from tests.writing import LIMITS, PART_BYTES, THRESHOLD_BYTES, WriteRig, assert_nothing_open, running_write_rig

BODY = random.Random(61).randbytes(5 * PART_BYTES + 321)
OLD = b"what was there before"


@pytest.fixture(scope="module", params=["fast", "sdk"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WriteRig]:
    """An engine of one transport that writes to a fault server, for the tests of this module."""
    small = msgspec.structs.replace(LIMITS, max_object_bytes=1024 * MIB)  # so that parts need not grow
    with running_write_rig(tmp_path_factory.mktemp("streams"), transport=request.param, limits=small) as running:
        yield running


def feed(writer: int, pieces: Iterator[bytes], pause_s: float = 0.0) -> None:
    """Write these pieces to a pipe and close it; a reader that goes away ends it."""
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(writer, view) :]
            time.sleep(pause_s)
    except BrokenPipeError:
        return
    finally:
        os.close(writer)


def stream(
    rig: WriteRig, body: bytes, *faults: Fault, pause_s: float = 0.0, piece_bytes: int = MIB, old: bytes | None = None
) -> tuple[TransferResult | None, TransferError | None, str]:
    """Upload these bytes through a pipe and check the invariants; returns result, error and key."""
    key, addressed = rig.new_key(*faults, old=old)
    reader, writer = os.pipe()
    pieces = (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))
    feeding = threading.Thread(target=feed, args=(writer, pieces, pause_s))
    feeding.start()
    try:
        work: Callable[[], TransferResult] = lambda: rig.engine.upload_stream(reader, f"s3://bucket/{key}")  # noqa: E731
        written = rig.watch(work, key, body, addressed, old)
    finally:
        os.close(reader)
        feeding.join(PATIENCE_S)
    return written.result, written.error if isinstance(written.error, TransferError) else None, key


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (0, 1),
        (1, 1),
        (THRESHOLD_BYTES - 1, 1),
        (THRESHOLD_BYTES, THRESHOLD_BYTES // PART_BYTES),
        (THRESHOLD_BYTES + 1, THRESHOLD_BYTES // PART_BYTES + 1),
        (THRESHOLD_BYTES + PART_BYTES, THRESHOLD_BYTES // PART_BYTES + 1),
        (THRESHOLD_BYTES + 3 * PART_BYTES + 9, THRESHOLD_BYTES // PART_BYTES + 4),
    ],
)
def test_lengths(rig: WriteRig, size: int, parts: int) -> None:
    """A stream of any length becomes exactly its bytes: by one PUT below the first cut, in parts from there on."""
    result, error, key = stream(rig, random.Random(size).randbytes(size))
    assert (error, result is not None and (result.size, result.parts, result.integrity)) == (
        None,
        (size, parts, "checksum"),
    )
    assert len(rig.server.requests_for("PutObject", key)) == (1 if size < THRESHOLD_BYTES else 0)


def test_slow_writer(rig: WriteRig) -> None:
    """A writer that takes its time costs time and nothing else."""
    result, _, _ = stream(rig, BODY, pause_s=0.01, piece_bytes=40_000)
    assert result is not None
    assert result.integrity == "checksum"


@pytest.mark.parametrize(
    "faults",
    [
        (CutReceiving(operation="UploadPart", part=2, after_bytes=1000),),
        (FlipReceivedBit(operation="UploadPart", part=1),),
        (storm(operation="UploadPart", times=3),),
        (Status(code="InternalError", operation="UploadPart", part=3, applied=True),),
    ],
    ids=["cut", "flip", "storm", "500"],
)
def test_faults_of_parts(rig: WriteRig, faults: tuple[Fault, ...]) -> None:
    """A part is held in memory until the service has it, so that it can be sent again."""
    result, _, _ = stream(rig, BODY, *faults, old=OLD)
    assert result is not None
    assert result.integrity == "checksum"


def test_refused_part(rig: WriteRig) -> None:
    """A part that is refused ends the stream's upload; nothing is left of it, and the writer sees a broken pipe."""
    fault = Status(code="AccessDenied", operation="UploadPart", part=2)
    _, error, key = stream(rig, BODY * 4, fault, old=OLD)
    assert isinstance(error, errors.AccessDenied)
    assert error.subject == f"s3://bucket/{key}"


def test_refused_part_while_the_writer_is_silent(rig: WriteRig) -> None:
    """A part that is refused ends the upload at once, though the writer neither writes nor closes."""
    key, faults = rig.new_key(Status(code="AccessDenied", operation="UploadPart", part=2), old=OLD)
    reader, writer = os.pipe()
    feeding = threading.Thread(target=lambda: os.write(writer, BODY[: THRESHOLD_BYTES + PART_BYTES + 1]))
    feeding.start()
    work = rig.watch(lambda: rig.engine.upload_stream(reader, f"s3://bucket/{key}"), key, b"", faults, OLD)
    feeding.join(PATIENCE_S)
    os.close(writer)
    os.close(reader)
    work.failed(errors.AccessDenied)
    assert work.seconds < SOON_S


def test_too_long(tmp_path: Path) -> None:
    """A stream that grows beyond what an object may have is refused, and nothing is left of it."""
    limits = msgspec.structs.replace(LIMITS, max_object_bytes=4 * PART_BYTES)
    with running_write_rig(tmp_path, limits=limits) as rig:
        _, error, _ = stream(rig, BODY * 2, old=OLD)
        assert isinstance(error, errors.PayloadTooLarge)


def test_many_parts_of_growing_size(tmp_path: Path) -> None:
    """Parts grow so that the last one the service allows still ends the largest object."""
    limits = S3Limits(max_parts=20, max_object_bytes=20 * MIB, min_part_bytes=64 * 1024, max_part_bytes=4 * MIB)
    body = random.Random(62).randbytes(20 * MIB)
    with running_write_rig(
        tmp_path, limits=limits, part_size_bytes=64 * 1024, multipart_threshold_bytes=64 * 1024
    ) as rig:
        result, _, key = stream(rig, body)
        assert result is not None
        assert result.integrity == "checksum"
        by_number = sorted(rig.server.requests_for("UploadPart", key), key=lambda one: one.part_number or 0)
        sizes = [one.body_size_bytes or 0 for one in by_number]
        assert len(sizes) <= limits.max_parts
        assert sizes[:-1] == sorted(sizes[:-1])
        assert (sizes[0], sum(sizes)) == (64 * 1024, 20 * MIB)
        assert sizes[-2] > 10 * sizes[0]


def test_descriptor_that_cannot_be_read(rig: WriteRig) -> None:
    """An input that fails is a local error, and no object comes of it."""
    key, _ = rig.new_key(old=OLD)
    fd = os.open(rig.folder, os.O_RDONLY)
    try:
        work = rig.watch(lambda: rig.engine.upload_stream(fd, f"s3://bucket/{key}"), key, b"", [], OLD)
    finally:
        os.close(fd)
    assert "input" in str(work.failed(errors.LocalError))


@pytest.mark.parametrize("there", [0, 1000, THRESHOLD_BYTES + PART_BYTES + 1])
def test_cancelled_while_the_writer_is_silent(rig: WriteRig, there: int) -> None:
    """A cancellation does not wait for the writer; what was begun at the service is aborted, and all is let go of."""
    key, _ = rig.new_key(old=OLD)
    reader, writer = os.pipe()
    feeding = threading.Thread(target=lambda: os.write(writer, BODY[:there]))
    feeding.start()
    future = rig.engine.start_task(rig.engine.aio.upload_stream, reader, f"s3://bucket/{key}")
    if there > THRESHOLD_BYTES:
        rig.server.wait_for(lambda s: any(one.finished_s for one in s.requests_for("UploadPart", key)))
    feeding.join(PATIENCE_S)
    eventually(lambda: any(one.name.startswith("pipe") for one in threading.enumerate()), "nobody reads")
    eventually(lambda: waiting_in(reader) == 0, "what is there is not taken")
    began_s = time.monotonic()
    future.cancel()
    with pytest.raises(CancelledError):
        future.result(timeout=PATIENCE_S)
    eventually(lambda: not rig.pending(key) and not rig.journals(key), "the upload is left")
    assert_nothing_open(rig.engine, rig.folder, rig.state)
    assert time.monotonic() - began_s < SOON_S
    os.close(writer)
    os.close(reader)
    assert rig.stored(key) == OLD


def resident_bytes(pid: int) -> int:
    """Return how much memory a process holds, without what it shares with files."""
    text = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines())
    return 1024 * sum(int(fields[name].split()[0]) for name in ("RssAnon", "RssShmem"))


def test_memory_is_bounded(tmp_path: Path) -> None:
    """A long stream passes in the memory of the parts that are in flight, however long it is."""
    part, piece = 1024 * 1024, bytes(1024 * 1024)
    with running_write_rig(
        tmp_path,
        part_size_bytes=part,
        multipart_threshold_bytes=part,
        limits=msgspec.structs.replace(LIMITS, max_object_bytes=1024 * MIB),
    ) as rig:
        stopping, most = threading.Event(), [0]
        pids = rig.engine.worker_pids

        def look() -> None:
            while not stopping.wait(0.02):
                most[0] = max(most[0], *(resident_bytes(pid) for pid in rig.engine.worker_pids or pids))

        reader, writer = os.pipe()
        feeding = threading.Thread(target=feed, args=(writer, (piece for _ in range(300))))
        looking = threading.Thread(target=look)
        work = rig.engine.start_task(rig.engine.aio.upload_stream, reader, "s3://bucket/long")
        eventually(lambda: len(rig.engine.worker_pids) == 2, "no workers came")
        before = max(resident_bytes(pid) for pid in rig.engine.worker_pids)
        feeding.start()
        looking.start()
        try:
            result = work.result(timeout=2 * PATIENCE_S)
        finally:
            stopping.set()
            looking.join(5)
            feeding.join(5)
            os.close(reader)
        assert (result.size, result.parts) == (300 * MIB, 300)
        assert most[0] - before < 64 * MIB
        rig.assert_nothing_left("long")


# Downloads into pipes


def received(rig: WriteRig, stored: StoredObject, *faults: Fault) -> tuple[bytes, BaseException | None, str]:
    """Stream an object into a pipe and return what came out of it, and the error."""
    key, addressed = rig.new_key(*faults)
    rig.server.store.put("bucket", key, stored)
    reader, writer = os.pipe()
    came = bytearray()

    def take() -> None:
        while data := os.read(reader, MIB):
            came.extend(data)

    taking = threading.Thread(target=take)
    taking.start()
    error: BaseException | None = None
    try:
        result = rig.engine.download_stream(f"s3://bucket/{key}", writer)
        assert result.size == stored.size_bytes
    except TransferError as raised:
        error = raised
    finally:
        os.close(writer)
        taking.join(PATIENCE_S)
        os.close(reader)
    assert [fault for fault in addressed if not rig.server.fired(fault)] == []
    assert_nothing_open(rig.engine, rig.folder, rig.state)
    return bytes(came), error, key


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, len(BODY)])
def test_download_is_in_order(rig: WriteRig, size: int) -> None:
    """What comes out of the pipe is the object, byte by byte in order, whatever came first."""
    late = [CutBody(after_bytes=100, attempt=1, start=0)] if size > PART_BYTES else []
    came, error, _ = received(rig, make_object(BODY[:size], algorithm="CRC32C"), *late)
    assert (came == BODY[:size], error) == (True, None)


def blocks_held() -> int:
    """Return how many bytes of anonymous memory this process holds by descriptors, each memory once."""
    held = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that lists the folder, or closed meanwhile
            if os.readlink(f"/proc/self/fd/{number}").startswith("/memfd:bulkhaul"):
                found = os.stat(int(number))
                held[found.st_ino] = found.st_blocks * 512
    return sum(held.values())


def test_a_reader_that_waits_holds_up_the_rest(tmp_path: Path) -> None:
    """Sixteen blocks of the default length are fetched ahead, 64 MiB, and the next one when the first is written."""
    size = 100 * MIB
    with running_write_rig(tmp_path, part_size_bytes=None) as rig:
        rig.server.store.put("bucket", "long", make_object(bytes(size)))
        reader, writer = os.pipe()
        work = rig.engine.start_task(rig.engine.aio.download_stream, "s3://bucket/long", writer)
        eventually(lambda: blocks_held() == 64 * MIB, "the blocks were not fetched ahead")
        time.sleep(0.3)  # long enough for a request that should not be made
        assert len(rig.server.requests_for("GetObject", "long")) == 16
        assert blocks_held() == 64 * MIB
        came = 0
        while came < size:
            came += len(os.read(reader, MIB))
        assert work.result(timeout=PATIENCE_S).size == size
        os.close(writer)
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_download_with_a_flipped_bit(rig: WriteRig) -> None:
    """Bytes that are not the object's end in an IntegrityError that says that the output is not the object."""
    stored = make_object(BODY, part_size_bytes=PART_BYTES, algorithm="CRC64NVME")
    _, error, key = received(rig, stored, FlipBit(offset=2 * PART_BYTES + 5))
    assert type(error) is errors.IntegrityError
    assert stored.checksums["CRC64NVME"] in str(error)
    assert error.subject == f"s3://bucket/{key}"


def test_download_of_an_object_that_is_replaced(rig: WriteRig) -> None:
    """An object that is replaced in the middle ends the stream by name: never the old and the new one mixed."""
    stored = make_object(BODY, part_size_bytes=PART_BYTES)
    came, error, _ = received(rig, stored, ReplaceObject(replacement=BODY[::-1], nth=4))
    assert isinstance(error, errors.PreconditionFailed)
    assert BODY.startswith(came)


def test_reader_that_goes_away(rig: WriteRig) -> None:
    """A reader that closes its end ends the download with BrokenPipeError, and nothing is held."""
    key, _ = rig.new_key()
    rig.server.store.put("bucket", key, make_object(BODY * 4))
    reader, writer = os.pipe()
    future = rig.engine.start_task(rig.engine.aio.download_stream, f"s3://bucket/{key}", writer)
    os.read(reader, 10)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        future.result(timeout=PATIENCE_S)
    os.close(writer)
    assert_nothing_open(rig.engine, rig.folder, rig.state)


def test_cancelled_while_the_reader_is_silent(tmp_path: Path) -> None:
    """A cancellation does not wait for the reader, and the caller's descriptor is as it was."""
    with running_write_rig(tmp_path, timeouts=Timeouts()) as rig:
        rig.server.store.put("bucket", "key", make_object(BODY))
        reader, writer = os.pipe()
        future = rig.engine.start_task(rig.engine.aio.download_stream, "s3://bucket/key", writer)
        rig.server.wait_for(lambda s: bool(s.requests_for("GetObject", "key")))
        full_bytes = fcntl.fcntl(reader, fcntl.F_GETPIPE_SZ)
        eventually(lambda: waiting_in(reader) == full_bytes, "the pipe is full")
        began_s = time.monotonic()
        future.cancel()
        with pytest.raises(CancelledError):
            future.result(timeout=PATIENCE_S)
        eventually(lambda: not [one for one in rig.server.requests if one.finished_s is None], "a GET goes on")
        assert_nothing_open(rig.engine, rig.folder, rig.state)
        assert time.monotonic() - began_s < SOON_S
        assert os.get_blocking(writer)
        os.close(writer)
        came = bytearray()
        while data := os.read(reader, MIB):
            came.extend(data)
        os.close(reader)
        assert BODY.startswith(bytes(came))
