"""Fetches bytes of one version of an object into memory: a range, or one chunk after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import NamedTuple

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.memory import read_all
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.block import Block, BlockReader
from bulkhaul.engine.transfers.download import Downloader
from bulkhaul.engine.transfers.verify import InOrder
from bulkhaul.model.errors import TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.policy.blocks import READ_BLOCK_BYTES
from bulkhaul.policy.layout import Layout, Part
from bulkhaul.policy.storerules import asks_for_bytes, outside
from bulkhaul.wire.values import RemoteObject


class Span(NamedTuple):
    """The bytes ``[start, end)`` of an object; ``end`` is None for its own."""

    ref: ObjectRef
    start: int
    end: int | None
    version_id: str


async def read_of(dispatcher: Dispatcher, remote: RemoteObject, start: int, end: int) -> bytes:
    """Return the bytes ``[start, end)`` of an object, on condition of its ETag; see ``AsyncEngine.read_of``."""
    size_bytes = remote.head.size
    layout = Layout(size_bytes, size_bytes, whole=(start, end) == (0, size_bytes))
    try:
        block = await BlockReader(dispatcher, remote, layout).fetch(Part(1, start, end))
    except TransferError as error:
        raise error.named(remote.ref.url) from error.__cause__
    try:
        return await _bytes_of(block, remote.ref.url)
    finally:
        block.close()


async def chunks(
    control: Control, dispatcher: Dispatcher, downloader: Downloader, span: Span
) -> AsyncGenerator[bytes, None]:
    """Yield an object, or a range of it, in order; see ``AsyncEngine.chunks``."""
    ref, start, end = span.ref, span.start, span.end
    remote = await control.look(ref, span.version_id)
    size_bytes = remote.head.size
    stop = size_bytes if end is None else end
    if not asks_for_bytes(start, stop, ref.url):
        return
    if stop > size_bytes:
        raise outside(start, stop, ref.url)
    whole = (start, stop) == (0, size_bytes)
    layout, watch = Layout(size_bytes, READ_BLOCK_BYTES), None
    if whole:
        checks = await downloader.checks_of(remote)
        layout = downloader.layout_of(remote.head, checks, part_size_bytes=READ_BLOCK_BYTES)
        watch = InOrder(checks)
    last = b""
    try:
        async with aclosing(BlockReader(dispatcher, remote, layout).in_order(start, stop)) as blocks:
            async for block in blocks:
                try:
                    data = await _bytes_of(block, ref.url, watch)
                finally:
                    block.close()
                if last:
                    yield last
                last = data
    except TransferError as error:
        raise error.named(ref.url) from error.__cause__
    if watch is not None:
        watch.finish(ref)
    if last:
        yield last


async def _bytes_of(block: Block, subject: str, watch: InOrder | None = None) -> bytes:
    try:
        # A large block is copied in a thread: the loop has others to serve meanwhile.
        if block.part.size_bytes <= MIB:
            return _copied(block, watch)
        return await undisturbed(in_thread(_copied, block, watch))
    except OSError as error:
        raise local_error(error, subject) from error


def _copied(block: Block, watch: InOrder | None) -> bytes:
    data = read_all(block.fd)
    if len(data) != block.part.size_bytes:
        raise OSError(5, f"the block holds {len(data)} of {block.part.size_bytes} bytes")
    if watch is not None:
        with memoryview(data) as view:
            watch.update(view)
    return data
