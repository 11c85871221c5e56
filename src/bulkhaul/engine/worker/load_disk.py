"""Writes the bodies of a load to a disk, in a thread of the worker's: the loop never waits for the disk.

    connection ─▶ Written, which copies ─▶ queue ─▶ thread ─▶ a file for each lane, or a device or FIFO for all

Memory is bounded: where too much waits for the disk, connections are held until less does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from queue import SimpleQueue

from bulkhaul.disk.sinks import opened_sink
from bulkhaul.engine.loop.threads import in_own_thread
from bulkhaul.engine.worker.load_bodies import Discard
from bulkhaul.model.limits import MIB
from bulkhaul.wire.http1 import Connection

AHEAD_BYTES = 16 * MIB
"""Bytes of a worker that wait for the disk; who brings more is held. Each lane may bring one more read."""


class Disk:
    """The thread that writes, and what waits for it."""

    def __init__(self, place: str) -> None:
        """Take a folder, in which each lane has a file without a name, or a device or FIFO that all lanes write to.

        Raises:
            OSError: it cannot be written to, or nothing reads the FIFO.
        """
        self._place = place
        self._shared = -1 if os.path.isdir(place) else opened_sink(place)
        self._fds = [] if self._shared < 0 else [self._shared]
        self._queue: SimpleQueue[tuple[Written, bytes, int] | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._waiting_bytes = 0
        self._held: set[Connection] = set()
        self._waiters: set[asyncio.Future[None]] = set()
        self._clock = 0.0, 0.0  # seconds that writing took, and when the write under way began; 0 if there is none
        self._ended = in_own_thread(self._write_all, "load-disk")
        self._ended.add_done_callback(self._wake_all)

    @property
    def spent_s(self) -> float:
        """Seconds that writing took so far, the write under way included."""
        spent_s, since_s = self._clock
        return spent_s + (time.monotonic() - since_s if since_s else 0.0)

    def open(self) -> tuple[int, bool]:
        """Return a descriptor to write to, and whether each body begins at the beginning.

        Raises:
            OSError: the folder refuses.
        """
        if self._shared >= 0:
            return self._shared, False
        try:
            fd = os.open(self._place, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError:  # not every file system has files without names
            path = os.path.join(self._place, f".bulkhaul-load-{os.getpid()}-{time.monotonic_ns()}")
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.unlink(path)
        self._fds.append(fd)
        return fd, True

    def close(self) -> None:
        """End the thread when it has written what waits; nothing waits for that."""
        self._queue.put(None)

    # On the loop

    def take(self, sink: Written, data: bytes, offset: int, connection: Connection | None) -> None:
        """Take some of a body, to be written from ``offset`` of its file on; hold its connection if too much waits."""
        if self._ended.done():
            return  # ``wait`` tells why
        self._waiting_bytes += len(data)
        self._queue.put((sink, data, offset))
        if self._waiting_bytes >= AHEAD_BYTES and connection is not None:
            connection.pauses.hold()
            self._held.add(connection)

    def let_go(self, connection: Connection) -> None:
        """Have a connection read on."""
        self._held.discard(connection)
        connection.pauses.release()

    async def wait(self, waiter: asyncio.Future[None]) -> None:
        """Wait for a future, and make sure that everything could be written so far.

        Raises:
            OSError: it could not.
        """
        self._waiters.add(waiter)
        if self._ended.done():
            self._wake_all()
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
        if self._ended.done() and (error := self._ended.result()) is not None:
            raise error

    def _wake_all(self, _ended: object = None) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        while self._held:
            self._held.pop().pauses.release()

    def _was_written(self, sink: Written, count: int) -> None:
        self._waiting_bytes -= count
        sink.was_written(count)
        if self._waiting_bytes <= AHEAD_BYTES // 2:
            while self._held:
                self._held.pop().pauses.release()

    # In the thread

    def _write_all(self) -> None:
        try:
            for sink, data, offset in self._taken():
                self._clock = self.spent_s, time.monotonic()
                left = memoryview(data)
                while left:
                    count = os.write(sink.fd, left) if offset < 0 else os.pwrite(sink.fd, left, offset)
                    left, offset = left[count:], offset + count if offset >= 0 else offset
                self._clock = self.spent_s, 0.0
                with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                    self._loop.call_soon_threadsafe(self._was_written, sink, len(data))
        finally:
            for fd in self._fds:
                os.close(fd)

    def _taken(self) -> Iterator[tuple[Written, bytes, int]]:
        while (one := self._queue.get()) is not None:
            yield one


class Written(Discard):
    """Writes the bodies of a lane: each over the one before, or behind what others have written.

    Attributes:
        fd: where to.
    """

    def __init__(self, scratch: memoryview, disk: Disk) -> None:
        super().__init__(scratch)
        self._disk = disk
        self.fd, self._seeks = disk.open()
        self._waiting_bytes = 0
        self._connection: Connection | None = None
        self._waiter: asyncio.Future[None] | None = None

    def lent(self, connection: Connection) -> None:
        """The next body comes over this connection."""
        self._connection = connection

    def received(self, count: int) -> None:
        """Have the next bytes written."""
        self._waiting_bytes += count
        offset = self.moved_bytes if self._seeks else -1
        self._disk.take(self, bytes(self._scratch[:count]), offset, self._connection)
        self.moved_bytes += count

    def was_written(self, count: int) -> None:
        """So many bytes are written."""
        self._waiting_bytes -= count
        if not self._waiting_bytes and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def settled(self) -> None:
        """Wait until all that was received is written.

        Raises:
            OSError: it could not be.
        """
        if self._connection is not None:  # or its next reply would wait for the disk, too
            self._disk.let_go(self._connection)
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        if not self._waiting_bytes:
            waiter.set_result(None)
        await self._disk.wait(waiter)
