"""How the bytes of a lease get into its file: all of them, whatever ends the transfer."""

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

from bulkhaul.disk.window import BUFFER_BYTES, CUT_SHORT, MappedWindow, Window, WrittenWindow
from bulkhaul.engine.messages.messages import Done, Failed, GetLease
from bulkhaul.engine.worker.get import Fetcher
from bulkhaul.engine.worker.transports import Transports
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.wire.transport import Sink, Transport, TransportError
from bulkhaul.wire.values import GetRequest, Target

T = TypeVar("T")

KIB = 1024
TARGET = Target("http", "127.0.0.1", 9000, "/bucket/", "us-east-1", fast=True)
BODY = random.Random(7).randbytes(BUFFER_BYTES + 12_345)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """Return the descriptor of a file as long as BODY, all zeros."""
    opened = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(opened, len(BODY))
    yield opened
    os.close(opened)


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


def test_windows_that_take_turns_share_a_buffer(fd: int) -> None:
    """It holds nothing between two reads, so they do not get into each other's bytes."""
    buffer = memoryview(bytearray(BUFFER_BYTES))
    half = len(BODY) // 2
    first, second = WrittenWindow(fd, 0, len(BODY), buffer), WrittenWindow(fd, half, len(BODY), buffer)
    for at in range(0, half + 1, 10_000):
        for window, body in ((first, BODY[:half]), (second, BODY[half:])):
            fill(window, body[at : at + 10_000], 10_000)
    first.close()
    second.close()
    assert content(fd) == BODY


def test_a_file_that_was_cut_gets_no_hole(fd: int) -> None:
    """What another program cut off is not made long again by a later write."""
    window = WrittenWindow(fd, 300, len(BODY), memoryview(bytearray(BUFFER_BYTES)))
    os.ftruncate(fd, 10)
    with pytest.raises(OSError, match=CUT_SHORT):
        fill(window, BODY[:1000], 1000)
    assert os.fstat(fd).st_size == 10
    window.close()


def test_a_short_write_goes_on_where_it_ended(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system call may take less than it was given."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, data[:1000], offset))
    window = WrittenWindow(fd, 0, len(BODY), memoryview(bytearray(BUFFER_BYTES)))
    fill(window, BODY, 64 * KIB)
    window.close()
    assert content(fd) == BODY


def test_a_mapped_window(fd: int) -> None:
    """Its bytes are in the file at once, wherever it begins."""
    window = MappedWindow(fd, 300, len(BODY))
    fill(window, BODY[300:], 64 * KIB)
    assert content(fd) == bytes(300) + BODY[300:]
    window.close()


class Played:
    """A transport that gives the bytes of BODY that are asked for, and may break off; it takes turns with others."""

    def __init__(self, *, most: int = 64 * KIB, breaks_after: int | None = None) -> None:
        self.most = most
        self.breaks_after = breaks_after
        self.together = self.most_together = 0
        self.far = asyncio.Event()  # much has come

    async def get(self, request: GetRequest, sink: Sink) -> None:
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        try:
            sink.expect(None)
            body = BODY[request.start : request.end][: self.breaks_after]
            for at in range(0, len(body), self.most):
                fill(sink, body[at : at + self.most], self.most)
                if at > 300_000:
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
    broken_at = 301_000
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
    """A lease that is cancelled reports what a retry may rely on."""

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
    assert 300_000 < failed.received_bytes < len(BODY)
    assert content(fd)[: failed.received_bytes] == BODY[: failed.received_bytes]
    assert failed.crc == zlib.crc32(BODY[: failed.received_bytes])


@pytest.mark.parametrize("kind", [Played, Threaded])
def test_many_leases_at_a_time(fd: int, kind: Callable[..., Played]) -> None:
    """None gets into the bytes of another, and twice in turn neither."""
    many = 35
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
    assert transport.most_together > 16 or kind is Threaded


def test_a_full_disk_is_told_and_nothing_counts(fd: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum is then of more than what is in the file."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    failed = run(fetcher_of(Played()).fetch(lease_of(0, len(BODY), crc=5), fd))
    assert isinstance(failed, Failed)
    assert (failed.received_bytes, failed.crc, failed.error.code) == (0, 5, "DiskFull")
