"""Offers the bytes of objects in order to asyncio programs: out of and into pipes and file objects, and as chunks."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import BinaryIO

from bulkhaul.engine.lifetime import Lifetime, OnSize
from bulkhaul.engine.loop.progress import telling
from bulkhaul.engine.transfers.endpoints import object_ref
from bulkhaul.engine.transfers.meter import OnMoved
from bulkhaul.engine.transfers.result import result_of
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy.described import checked
from bulkhaul.wire.values import RemoteObject


class ByteStreams:
    """What an engine does with bytes that come, or are taken, one after another."""

    _life: Lifetime

    async def upload_stream(
        self,
        source: int | BinaryIO,
        url: str | ObjectRef,
        options: ObjectOptions = DEFAULT_OPTIONS,
        *,
        progress: ProgressCallback | None = None,
        dry_run: bool = False,
    ) -> TransferResult:
        """Upload what a descriptor or a file object gives until its end; its length need not be known.

        A file object is read in a thread. Where its ``read`` waits, the thread of a failed upload waits with it.

        Args:
            progress: called with the bytes that were sent since the last call; the sum is the size.

        Raises:
            TransferError: it could not be done; nothing is left of it.
            Whatever ``read`` raises: nothing is stored then.
        """
        ref, options = object_ref(url), checked(options)
        if not isinstance(source, int) and not hasattr(source, "read"):
            text = f"a stream is a descriptor or a file object, not a {type(source).__name__}; upload() takes a path"
            raise UsageError(text, ref.url)
        streamer = self._life.running().streamer
        if dry_run:
            return TransferResult(source="-", destination=ref.url, bucket=ref.bucket, key=ref.key)

        async def work(on_moved: OnMoved | None) -> TransferResult:
            if isinstance(source, int):
                return await streamer.upload(source, ref, options, on_moved=on_moved)
            from bulkhaul.engine.transfers.file_objects import piped_from

            store = functools.partial(streamer.upload, ref=ref, options=options, on_moved=on_moved)
            return await piped_from(source, store)

        return await self._life.one(lambda _: telling(progress, work), ref.url)

    async def download_stream(
        self,
        url: str | ObjectRef,
        sink: int | BinaryIO,
        *,
        progress: ProgressCallback | None = None,
        version_id: str = "",
        dry_run: bool = False,
    ) -> TransferResult:
        """Write one object to a descriptor or a file object, in order.

        What was written before an error cannot be taken back. A file object is written in a thread.

        Args:
            progress: called with the bytes that were written since the last call; the sum is the size.

        Raises:
            BrokenPipeError: nobody reads any more.
            TransferError: it could not be done.
            Whatever ``write`` raises.
        """
        ref = object_ref(url)
        running = self._life.running()
        if dry_run:
            return result_of(ref, await running.control.head(ref, version_id), "-")

        async def work(on_size: OnSize) -> TransferResult:
            return await telling(progress, functools.partial(write, on_size))

        async def write(on_size: OnSize, on_moved: OnMoved | None) -> TransferResult:
            fetch = functools.partial(
                running.streamer.download, ref, version_id=version_id, on_size=on_size, on_moved=on_moved
            )
            if isinstance(sink, int):
                return await fetch(sink)
            from bulkhaul.engine.transfers.file_objects import piped_to

            return await piped_to(sink, fetch)

        return await self._life.one(work, ref.url)

    async def chunks(
        self, url: str | ObjectRef, *, start: int = 0, end: int | None = None, version_id: str = ""
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of one object in order, 4 MiB at a time; up to 64 MiB of what follows is on its way.

        A whole object is compared with its stored checksum: the last chunk comes only if that holds.

        Args:
            start: first byte.
            end: byte after the last one; None for the object's end.
            version_id: which version; empty for the current one.

        Raises:
            NotFound: there is no such object.
            RangeNotSatisfiable: the object does not hold the whole range.
            PreconditionFailed: it was replaced meanwhile.
            IntegrityError: the bytes are not those that the stored checksum promises.
        """
        from bulkhaul.engine.transfers.chunks import Span, chunks

        running = self._life.running()
        span = Span(object_ref(url), start, end, version_id)
        found = chunks(running.control, running.dispatcher, running.downloader, span)
        async with aclosing(found) as pieces:
            async for piece in pieces:
                yield piece

    async def read_of(self, remote: RemoteObject, start: int, end: int) -> bytes:
        """Return the bytes ``[start, end)`` of an object that was looked at, on condition that it is still there.

        Raises:
            PreconditionFailed: it was replaced meanwhile.
            TransferError: it cannot be read.
        """
        from bulkhaul.engine.transfers.chunks import read_of

        return await read_of(self._life.running().dispatcher, remote, start, end)

    async def read_through(self, remote: RemoteObject, watch: Callable[[memoryview], object]) -> None:
        """Show all bytes of an object to ``watch``, in a thread; see ``transfers.read_through``."""
        from bulkhaul.engine.transfers.read_through import read_through

        await read_through(self._life.running().dispatcher, remote, watch)
