"""Uploads what a pipe gives, and writes objects into pipes: unknown length, no seek.

read ─▶ memory of one part ─▶ PUT, parts in parallel ─▶ complete         the length shows at the end
ranges in parallel ─▶ memory ─▶ checksum ─▶ write, in order
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import aclosing

import msgspec

from bulkhaul.engine.loop.tasks import look_at, outlast, require_done, undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.transfers.block import Block, BlockReader, join
from bulkhaul.engine.transfers.content_type import with_content_type
from bulkhaul.engine.transfers.download import Downloader
from bulkhaul.engine.transfers.meter import Meter, OnMoved
from bulkhaul.engine.transfers.multipart import MultipartUpload
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.engine.transfers.pipe import PipeReader, PipeWriter
from bulkhaul.engine.transfers.result import result_of, stored_result
from bulkhaul.engine.transfers.upload import Uploader
from bulkhaul.engine.transfers.verify import InOrder
from bulkhaul.model.errors import PayloadTooLarge, TransferError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.blocks import LARGE_MEMORY_BYTES, READ_BLOCK_BYTES, memory_for
from bulkhaul.policy.endpoints import profile_for
from bulkhaul.policy.uploadplan import stream_part_bytes
from bulkhaul.policy.verification import without_checksum


class Streamer:
    """Uploads from pipes and downloads into them."""

    def __init__(
        self,
        settings: Settings,
        control: Control,
        dispatcher: Dispatcher,
        downloader: Downloader,
        uploader: Uploader,
        guard: MultipartGuard,
    ) -> None:
        self._settings = settings
        self._control = control
        self._dispatcher = dispatcher
        self._downloader = downloader
        self._uploader = uploader
        self._guard = guard

    async def upload(
        self, fd: int, ref: ObjectRef, options: ObjectOptions, *, on_moved: OnMoved | None = None
    ) -> TransferResult:
        """Upload everything that a descriptor gives until its end.

        Raises:
            TransferError: it could not be done; nothing is left of it.
        """
        began_s = time.monotonic()
        options = with_content_type(options, ref.key)
        pipe = PipeReader(fd)
        opening: list[Block] = []
        try:
            even = profile_for((await self._control.target(ref.bucket)).host).even_parts
            threshold_bytes = 0 if even else min(self._settings.multipart_threshold_bytes, LARGE_MEMORY_BYTES)
            least = max(threshold_bytes, self._part_bytes(1, even=even))
            await self._open(pipe, opening, least, even=even)
            if opening[-1].part.end < least:
                await undisturbed(in_thread(join, opening))
                whole = opening[0]
                result = await self._uploader.upload_memory(
                    whole.fd, whole.part.size_bytes, ref, options, on_moved=on_moved
                )
            else:
                result = await self._in_parts(pipe, opening, ref, options, on_moved, even=even)
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        finally:
            pipe.stop()
            for block in opening:
                block.close()
        return msgspec.structs.replace(result, source="-", seconds=time.monotonic() - began_s)

    async def _open(self, pipe: PipeReader, opening: list[Block], least: int, *, even: bool) -> None:
        """Read blocks until there are ``least`` bytes in them, or the input has ended."""
        at = 0
        while at < least:
            number = len(opening) + 1
            size = self._part_bytes(number, even=even)
            opening.append(await pipe.block(at, number, size))
            at = opening[-1].part.end
            if opening[-1].part.size_bytes < size:
                return

    async def _in_parts(
        self,
        pipe: PipeReader,
        opening: list[Block],
        ref: ObjectRef,
        options: ObjectOptions,
        on_moved: OnMoved | None,
        *,
        even: bool,
    ) -> TransferResult:
        async with self._guard.begin(ref, options, part_size_bytes=0) as upload:
            size_bytes, count = await self._send_blocks(upload, pipe, opening, Meter(on_moved), even=even)
            stored = await upload.complete()
        return stored_result(ref, size_bytes, stored, count, upload.retries)

    async def _send_blocks(
        self, upload: MultipartUpload, pipe: PipeReader, opening: list[Block], meter: Meter, *, even: bool
    ) -> tuple[int, int]:
        """Send every block as a part; returns (bytes, parts)."""
        held: dict[asyncio.Task[None], int] = {}

        async def send(block: Block) -> None:
            number = block.part.number
            await upload.send(block.part, block.fd, start=0, on_moved=meter.part(number))
            meter.done(number, block.part.size_bytes)

        ready, most = deque(opening), self._dispatcher.machine.window.ceiling
        at, number = 0, 1
        try:
            while True:
                size = self._part_bytes(number, even=even)
                if not ready:
                    while held and (len(held) >= most or sum(held.values()) + size > memory_for(size)):
                        await _collect(held)
                    ready.append(await _next(pipe.block(at, number, size), held))
                block = ready.popleft()
                if not block.part.size_bytes:
                    block.close()
                    break
                sending = asyncio.ensure_future(send(block))
                # Also where the task is cancelled before its first step.
                sending.add_done_callback(self._dispatcher.last_resort.guard(functools.partial(_close, block)))
                held[sending] = block.part.size_bytes
                at, number = block.part.end, number + 1
                if at > self._settings.limits.max_object_bytes:
                    raise PayloadTooLarge("the input is longer than an S3 object may be")
                if block.part.size_bytes < size:
                    break
            while held:
                await _collect(held)
        except BaseException:
            for task in held:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # raised below
                await outlast(*held)
            look_at(held)
            raise
        return at, number - 1

    def _part_bytes(self, number: int, *, even: bool) -> int:
        settings = self._settings
        # Where all parts have one length, it has to do for the whole of a long input.
        wanted = settings.part_size_bytes or (DEFAULT_PART_SIZE_BYTES if even else None)
        if number > settings.limits.max_parts:
            text = f"the input needs more than {settings.limits.max_parts} parts at this endpoint; raise --part-size"
            raise PayloadTooLarge(text)
        sized = 1 if even else number
        return stream_part_bytes(sized, part_size_bytes=wanted, limits=settings.limits)

    async def download(
        self,
        ref: ObjectRef,
        fd: int,
        *,
        on_size: Callable[[int], None],
        version_id: str = "",
        on_moved: OnMoved | None = None,
    ) -> TransferResult:
        """Write an object to a descriptor, in order.

        What has been written cannot be taken back: an error after the first byte means that the output is not whole.

        Args:
            on_size: called with the object's size as soon as it is known.
            version_id: of the object, empty for the current one.
            on_moved: called with how many bytes have been written.

        Raises:
            BrokenPipeError: nobody reads any more.
            TransferError: it could not be done.
        """
        remote = await self._control.look(ref, version_id)
        head = remote.head
        on_size(head.size)
        checks = await self._downloader.checks_of(remote)
        began_s = time.monotonic()
        layout = self._downloader.layout_of(head, checks, part_size_bytes=READ_BLOCK_BYTES)
        reader = BlockReader(self._dispatcher, remote, layout)
        watch = InOrder(checks)
        pipe, meter = PipeWriter(fd), Meter(on_moved)
        retries = 0
        try:
            async with aclosing(reader.in_order()) as blocks:
                async for block in blocks:
                    try:
                        retries += block.retries
                        await pipe.write(block, watch.update)
                        meter.done(block.part.number, block.part.size_bytes)
                    finally:
                        block.close()
        except TransferError as error:
            raise error.named(ref.url) from error.__cause__
        finally:
            pipe.close()
        proven = watch.finish(ref)
        return msgspec.structs.replace(
            result_of(ref, head, "-"),
            integrity=checks.integrity if proven else without_checksum(head),
            seconds=time.monotonic() - began_s,
            parts=len(layout),
            retries=retries,
        )


def _close(block: Block, _sending: asyncio.Future[None]) -> None:
    block.close()


async def _next(read: Coroutine[None, None, Block], held: dict[asyncio.Task[None], int]) -> Block:
    """Wait for the next block. A part that fails meanwhile ends the wait, as the writer may be silent for long."""
    reading = asyncio.ensure_future(read)
    try:
        while not reading.done():
            await asyncio.wait([reading, *held], return_when=asyncio.FIRST_COMPLETED)
            done = [task for task in held if task.done()]
            for task in done:
                del held[task]
            require_done(done)
        return reading.result()
    except BaseException:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # raised below
            await outlast(reading)
        if not reading.cancelled() and reading.exception() is None:
            reading.result().close()
        raise


async def _collect(held: dict[asyncio.Task[None], int]) -> None:
    done, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        del held[task]
    require_done(done)
