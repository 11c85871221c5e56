"""How the bytes of a lease get into its file: in whole blocks, all of them, whatever ends the transfer."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import zlib
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TypeVar, cast

import pytest

from bulkhaul.disk.window import BLOCK_BYTES, CUT_SHORT, MappedWindow, Window, WrittenWindow
from bulkhaul.engine.messages.messages import Done, Failed, GetLease
from bulkhaul.engine.worker.get import OWN_BLOCKS, Fetcher
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.wire.transport import Sink, Transport, TransportError
from bulkhaul.wire.values import GetRequest, Target

T = TypeVar("T")

KIB = 1024
TARGET = Target("http", "127.0.0.1", 9000, "/bucket/", "us-east-1", fast=True)
BODY = random.Random(7).randbytes(3 * BLOCK_BYTES + 12_345)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """Return the descriptor of a file as long as BODY, all zeros."""
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(opened, len(BODY))
    yield opened
    os.close(opened)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list of (offset, length) of every write from now on."""
    seen: list[tuple[int, int]] = []
    write = os.pwrite

    def noted(fd: int, data: memoryview, offset: int) -> int:
        seen.append((offset, len(data)))
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    return seen


def fill(sink: Window | Sink, body: bytes, most: int) -> None:
    """Give a sink ``body`` in pieces of at most so many bytes, as a socket would."""
    while body:
        space = sink.space()
        count = min(len(space), len(body), most)
        space[:count] = body[:count]
        sink.received(count)
        body = body[count:]


def content(fd: int) -> bytes:
    """Return all of a file."""
    return os.pread(fd, len(BODY) + 1, 0)


@pytest.mark.parametrize("most", [1000, 64 * KIB, BLOCK_BYTES, 1 << 30])
@pytest.mark.parametrize("start", [0, 300, BLOCK_BYTES, BLOCK_BYTES + 70_000])
def test_whole_blocks_are_written(fd: int, writes: list[tuple[int, int]], start: int, most: int) -> None:
    """However small the reads and wherever a part begins, all writes but the first and last are blocks of the file."""
    window = WrittenWindow(fd, start, len(BODY), memoryview(bytearray(BLOCK_BYTES)), shared=False)
    fill(window, BODY[start:], most)
    window.flush()
    window.close()
    assert content(fd) == bytes(start) + BODY[start:]
    assert writes[0][0] == start
    assert sum(length for _, length in writes) == len(BODY) - start
    for offset, length in writes[1:]:
        assert offset % BLOCK_BYTES == 0
        assert length == min(BLOCK_BYTES, len(BODY) - offset)


def test_a_shared_block_holds_nothing_between_two_reads(fd: int, writes: list[tuple[int, int]]) -> None:
    """Two windows that take turns at one block do not get into each other's bytes."""
    block = memoryview(bytearray(BLOCK_BYTES))
    half = len(BODY) // 2
    first = WrittenWindow(fd, 0, len(BODY), block, shared=True)
    second = WrittenWindow(fd, half, len(BODY), block, shared=True)
    for at in range(0, half + 1, 10_000):
        for window, body in ((first, BODY[:half]), (second, BODY[half:])):
            fill(window, body[at : at + 10_000], 10_000)
    assert len(writes) >= len(BODY) // 10_000
    first.close()
    second.close()
    assert content(fd) == BODY


@pytest.mark.parametrize("shared", [True, False])
def test_a_file_that_was_cut_gets_no_hole(fd: int, shared: bool) -> None:
    """What another program cut off is not made long again by a later write."""
    window = WrittenWindow(fd, BLOCK_BYTES, len(BODY), memoryview(bytearray(BLOCK_BYTES)), shared=shared)
    os.ftruncate(fd, 10)
    with pytest.raises(OSError, match=CUT_SHORT):
        fill(window, BODY[:BLOCK_BYTES], 1 << 30)
    assert os.fstat(fd).st_size == 10
    window.close()


def test_a_block_that_could_not_be_written_is_written_whole_later(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short writes go on where they ended; after an error nothing of the block is taken for written."""
    window = WrittenWindow(fd, 0, len(BODY), memoryview(bytearray(BLOCK_BYTES)), shared=False)
    fill(window, BODY[:100_000], 1 << 30)
    write, calls = os.pwrite, 0

    def short(fd: int, data: memoryview, offset: int) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "no space left on device")
        return write(fd, data[:1000], offset)

    monkeypatch.setattr(os, "pwrite", short)
    with pytest.raises(OSError, match="no space"):
        window.flush()
    window.flush()
    assert content(fd)[:100_000] == BODY[:100_000]
    assert not any(content(fd)[100_000:])


def test_a_mapped_window_needs_no_flush(fd: int) -> None:
    """Its bytes are in the file at once."""
    window = MappedWindow(fd, 300, len(BODY))
    fill(window, BODY[300:], 64 * KIB)
    assert content(fd) == bytes(300) + BODY[300:]
    window.flush()
    window.close()


class Played:
    """A transport that gives the bytes of BODY that are asked for, and may break off; it takes turns with others."""

    def __init__(self, *, most: int = 64 * KIB, breaks_after: int | None = None) -> None:
        self.most = most
        self.breaks_after = breaks_after
        self.together = self.most_together = 0
        self.far = asyncio.Event()  # more than a block has come

    async def get(self, request: GetRequest, sink: Sink) -> None:
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            sink.expect(None)
            body = BODY[request.start : request.end][: self.breaks_after]
            for at in range(0, len(body), self.most):
                fill(sink, body[at : at + self.most], self.most)
                if at > BLOCK_BYTES:
                    self.far.set()
                await asyncio.sleep(0)
            if self.breaks_after is not None:
                raise TransportError(ErrorInfo("NetworkError", "the connection was closed"))
        finally:
            self.together -= 1


class Threaded(Played):
    """The same, from a thread."""

    async def get(self, request: GetRequest, sink: Sink) -> None:
        await asyncio.to_thread(lambda: asyncio.run(Played.get(self, request, sink)))


class Chosen:
    """Both transports of a worker, of which one is used."""

    def __init__(self, transport: Played) -> None:
        self.transport = transport

    def choose(self, target: Target) -> Transport:
        return cast("Transport", self.transport)

    def in_threads(self, transport: Transport) -> bool:
        return isinstance(transport, Threaded)

    def cleaned(self, info: ErrorInfo) -> ErrorInfo:
        return info


def fetcher_of(transport: Played) -> Fetcher:
    """Return a fetcher that uses a transport."""
    return Fetcher(cast("Transports", Chosen(transport)))


def lease_of(start: int, end: int, *, number: int = 1, crc: int = 0, mapped: bool = False) -> GetLease:
    """Return the lease of ``[start, end)`` of BODY."""
    request = GetRequest(TARGET, "bucket", "key", "", start, end, len(BODY), whole=False)
    return GetLease(lease=number, request=request, mapped=mapped, algorithm="CRC32", crc=crc)


def run(coroutine: Coroutine[None, None, T]) -> T:
    """Run something of the loop."""
    return asyncio.run(asyncio.wait_for(coroutine, 30))


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("kind", [Played, Threaded])
def test_a_retry_goes_on_behind_what_a_break_left(fd: int, kind: Callable[..., Played], mapped: bool) -> None:
    """What is reported as received is in the file, and the checksum is that of these bytes."""
    broken_at = BLOCK_BYTES + 1000
    failed = run(fetcher_of(kind(breaks_after=broken_at)).fetch(lease_of(0, len(BODY), mapped=mapped), fd))
    assert isinstance(failed, Failed)
    assert (failed.received_bytes, failed.crc) == (broken_at, zlib.crc32(BODY[:broken_at]))
    assert content(fd) == BODY[:broken_at] + bytes(len(BODY) - broken_at)
    rest = lease_of(broken_at, len(BODY), crc=failed.crc, mapped=mapped)
    done = run(fetcher_of(kind()).fetch(rest, fd))
    assert isinstance(done, Done)
    assert done.crc == zlib.crc32(BODY)
    assert content(fd) == BODY


def test_what_is_taken_back_is_in_the_file_as_far_as_it_is_told(fd: int) -> None:
    """A lease that is cancelled in the middle of a block reports what a retry may rely on."""

    async def taken_back() -> Done | Failed:
        task = asyncio.create_task(fetcher.fetch(lease_of(0, len(BODY)), fd))
        await transport.far.wait()
        task.cancel()
        return await task

    transport = Played(most=10_000)
    fetcher = fetcher_of(transport)
    failed = run(taken_back())
    assert isinstance(failed, Failed)
    assert failed.error.code == "Cancelled"
    assert BLOCK_BYTES < failed.received_bytes < len(BODY)
    assert content(fd)[: failed.received_bytes] == BODY[: failed.received_bytes]
    assert failed.crc == zlib.crc32(BODY[: failed.received_bytes])


@pytest.mark.parametrize("kind", [Played, Threaded])
def test_many_leases_at_a_time(fd: int, kind: Callable[..., Played]) -> None:
    """More than have a block of their own, and twice in turn: none gets into the bytes of another."""
    many = 2 * OWN_BLOCKS + 3
    cuts = [len(BODY) * place // many for place in range(many + 1)]
    transport = kind(most=3000)
    fetcher = fetcher_of(transport)

    async def all_of_them() -> list[Done | Failed]:
        leases = [lease_of(cuts[place], cuts[place + 1], number=place) for place in range(many)]
        return await asyncio.gather(*(fetcher.fetch(lease, fd) for lease in leases))

    for _ in range(2):
        os.ftruncate(fd, 0)
        os.ftruncate(fd, len(BODY))
        ended = run(all_of_them())
        assert [one.crc for one in ended] == [zlib.crc32(BODY[cuts[n] : cuts[n + 1]]) for n in range(many)]
        assert content(fd) == BODY
    assert transport.most_together > OWN_BLOCKS or kind is Threaded


def test_a_full_disk_is_told_and_nothing_counts(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much of the block is in the file is not known."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    failed = run(fetcher_of(Played()).fetch(lease_of(0, len(BODY), crc=5), fd))
    assert isinstance(failed, Failed)
    assert (failed.received_bytes, failed.crc, failed.error.code) == (0, 5, "DiskFull")
