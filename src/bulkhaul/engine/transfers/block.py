"""Fetches parts of an object into blocks of anonymous memory, and bounds what blocks hold together.

parts in order ─▶ as many under way as memory and the window allow ─▶ Block ─▶ written or sent, and closed
"""

from __future__ import annotations

import asyncio
import mmap
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.tasks import outlast
from bulkhaul.engine.messages.memory import new_memory, write_all
from bulkhaul.engine.messages.messages import GetLease
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.job import GetJob
from bulkhaul.policy.blocks import blocks_at_once, memory_for
from bulkhaul.policy.layout import Layout, Part, parts_within
from bulkhaul.wire.values import RemoteObject


class Block:
    """One part of an object in memory, which ``close`` gives back.

    Attributes:
        fd: of the memory; its first byte is ``part.start`` of the object.
        crc: of its bytes, by the algorithm that was asked for, 0 for none.
        retries: tries that failed.
    """

    def __init__(self, part: Part, fd: int, crc: int = 0, retries: int = 0) -> None:
        self.part = part
        self.fd = fd
        self.crc = crc
        self.retries = retries

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def join(blocks: Sequence[Block]) -> None:
    """Put the bytes of blocks that follow each other into the first one, and close the others.

    Raises:
        LocalError: there is not enough memory.
    """
    first = blocks[0]
    for block in blocks[1:]:
        if size_bytes := block.part.size_bytes:
            try:
                with mmap.mmap(block.fd, size_bytes, prot=mmap.PROT_READ) as memory, memoryview(memory) as data:
                    write_all(first.fd, data, first.part.size_bytes)
            except OSError as error:
                raise local_error(error) from error
        first.part = Part(first.part.number, first.part.start, block.part.end)
        block.close()


class MemoryBudget:
    """Bounds how many blocks there are, and what they hold together; one block may have any length."""

    def __init__(self, max_blocks: int) -> None:
        self._max_blocks = max_blocks
        self._held_bytes = 0
        self._blocks = 0
        self._less = asyncio.Condition()

    @asynccontextmanager
    async def hold(self, size_bytes: int) -> AsyncIterator[None]:
        """Wait for room for a block, and keep it until the end of the ``with`` block."""
        async with self._less:
            await self._less.wait_for(lambda: self._has_room(size_bytes))
            self._held_bytes += size_bytes
            self._blocks += 1
        try:
            yield
        finally:
            self._held_bytes -= size_bytes
            self._blocks -= 1
            await outlast(asyncio.ensure_future(self._tell()))

    def _has_room(self, size_bytes: int) -> bool:
        fits = self._held_bytes + size_bytes <= memory_for(size_bytes) and self._blocks < self._max_blocks
        return fits or not self._blocks

    async def _tell(self) -> None:
        async with self._less:
            self._less.notify_all()


class BlockReader:
    """Fetches parts of one object into memory.

    Attributes:
        remote: the object.
        layout: its parts.
    """

    def __init__(self, dispatcher: Dispatcher, remote: RemoteObject, layout: Layout) -> None:
        self._dispatcher = dispatcher
        self.remote = remote
        self.layout = layout

    async def fetch(self, part: Part, algorithm: str = "") -> Block:
        """Fetch one part; the caller closes the block.

        Args:
            algorithm: checksum to compute on the way, empty for none.

        Raises:
            TransferError: it could not be fetched.
        """
        try:
            fd = new_memory()
        except OSError as error:
            raise local_error(error, self.remote.ref.url) from error
        try:
            os.ftruncate(fd, part.size_bytes)
            layout = Layout(part.size_bytes, part.size_bytes, whole=self.layout.whole)
            request = self.remote.request(part.start, part.end, whole=layout.whole)
            # Parts are written, as a mapping costs a fault for each page. Only the part at byte 0 is mapped: what is
            # written from there on is taken for a file of the whole object.
            lease = GetLease(request=request, base=part.start, mapped=not part.start, algorithm=algorithm)
            job = GetJob(template=lease, layout=layout, fd=fd)
            await self._dispatcher.run(job)
        except BaseException:
            os.close(fd)
            raise
        return Block(part, fd, job.crc, job.retries)

    async def in_order(self, start: int = 0, end: int | None = None) -> AsyncGenerator[Block, None]:
        """Yield every part in order, the next ones already on their way; the caller closes each block.

        Args:
            start: of a range that is wanted alone, whose first and last part are cut to it.
            end: of the same; None for the object's end.

        Raises:
            TransferError: a part could not be fetched.
        """
        ahead: deque[asyncio.Task[Block]] = deque()
        at_once = blocks_at_once(self.layout.part_size_bytes, self._dispatcher.machine.window.ceiling)
        stop = self.layout.size_bytes if end is None else end
        indices = parts_within(self.layout, start, stop) if start < stop else range(0)
        parts = (_cut(self.layout[index], start, stop) for index in indices)
        try:
            while True:
                while len(ahead) < at_once and (part := next(parts, None)) is not None:
                    ahead.append(asyncio.ensure_future(self.fetch(part)))
                if not ahead:
                    return
                block = await asyncio.shield(ahead[0])
                ahead.popleft()
                yield block
        finally:
            for task in ahead:
                task.cancel()
            await outlast(*ahead)
            for task in ahead:
                if not task.cancelled() and task.exception() is None:
                    task.result().close()


def _cut(part: Part, start: int, end: int) -> Part:
    return Part(part.number, max(part.start, start), min(part.end, end))
