"""Reads an object through, in order and in bounded memory, and shows its bytes to the caller; they are kept nowhere."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import aclosing

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.block import Block, BlockReader
from bulkhaul.model.errors import TransferError
from bulkhaul.model.limits import MIB
from bulkhaul.policy.blocks import READ_BLOCK_BYTES
from bulkhaul.policy.layout import plan_download
from bulkhaul.wire.values import RemoteObject


async def read_through(dispatcher: Dispatcher, remote: RemoteObject, watch: Callable[[memoryview], object]) -> None:
    """Show all bytes of an object to ``watch``, in order, piece by piece in a thread.

    Nothing is compared with the object's stored checksum: that is for the caller, who may not believe it.

    Raises:
        ObjectChanged, PreconditionFailed: the object is no longer the one that ``remote`` tells of.
        TransferError: it could not be read.
    """
    size_bytes = remote.head.size
    if not size_bytes:
        return
    layout = plan_download(size_bytes, part_size_bytes=READ_BLOCK_BYTES)
    try:
        async with aclosing(BlockReader(dispatcher, remote, layout).in_order()) as blocks:
            async for block in blocks:
                try:
                    await undisturbed(in_thread(functools.partial(_show, block, remote.ref.url, watch)))
                finally:
                    block.close()
    except TransferError as error:
        raise error.named(remote.ref.url) from error.__cause__


def _show(block: Block, subject: str, watch: Callable[[memoryview], object]) -> None:
    buffer, at = memoryview(bytearray(min(MIB, block.part.size_bytes))), 0
    try:
        while at < block.part.size_bytes:
            count = os.preadv(block.fd, [buffer], at)
            if not count:
                raise OSError(5, f"the block ends at byte {at} of {block.part.size_bytes}")
            watch(buffer[:count])
            at += count
    except OSError as error:
        raise local_error(error, subject) from error
