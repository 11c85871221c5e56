"""Writes an object as a file of unknown length: it is there when it is closed, and not at all if anything failed."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
from typing import TYPE_CHECKING

from bulkhaul.engine.files.runs import Runs
from bulkhaul.engine.files.stored_when_closed import StoredWhenClosed
from bulkhaul.engine.loop.tasks import look_at, outlast, undisturbed
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HELD_BYTES = 4 * MIB
"""What is held until it is known whether more comes: an object of less is stored by one PUT, and needs no pipe."""

PIPE_BYTES = MIB
"""What the pipe to the engine is to hold; Linux allows that much to everybody. Source: pipe(7), pipe-max-size."""


class ObjectWriter(StoredWhenClosed):
    """An object that is being written: ``open(url, "wb")`` returns it.

    ``close`` stores it, and returns when it is stored. An exception in the ``with`` block, ``abort``, or forgetting to
    close it store nothing; what the key had before stays. At most 64 MiB of an object that is sent in parts are held.

    Attributes:
        name: the object's URL.
        result: what was stored, once it is closed; None before, and after an abort.
    """

    def __init__(self, engine: Runs, ref: ObjectRef, options: ObjectOptions) -> None:
        self._engine = engine
        self._ref = ref
        self._options = options
        self._held = bytearray()
        self._pipe = -1
        self._storing: asyncio.Task[TransferResult] | None = None
        super().__init__(ref.url)

    def write(self, data: ReadableBuffer, /) -> int:
        """Take all of ``data``; waits while the service takes it more slowly than it comes.

        Raises:
            TransferError: the object cannot be stored; nothing of it is left.
        """
        self._require_open()
        with memoryview(data) as view, view.cast("B") as left:
            count = len(left)
            if self._storing is None and len(self._held) + count < HELD_BYTES:
                self._held += left
            else:
                self._begin()
                self._send(left)
        self._at += count
        return count

    def close(self) -> None:
        """Store the object; safe to call twice.

        Raises:
            TransferError: it could not be stored; nothing of it is left.
        """
        if self.closed:
            return
        try:
            self.result = self._stored()
        except BaseException:
            self.abort()
            raise
        super().close()

    def abort(self) -> None:
        """Close without storing anything; what the key had before stays."""
        if self.closed:
            return
        pipe, self._pipe = self._pipe, -1
        self._held = bytearray()  # a failed upload's traceback may still look at the old one
        super().close()
        if self._storing is not None:
            try:
                self._engine.finish(_give_up, self._storing, pipe)
            except UsageError:  # the engine was closed, and this ended with it
                _close(pipe)

    def _stored(self) -> TransferResult:
        if self._storing is None:
            upload = functools.partial(self._engine.aio.upload_bytes, self._held, self._ref, self._options)
            result: TransferResult = self._engine.run(upload)
            return result
        self._end_input()
        return self._outcome(self._storing)

    def _begin(self) -> None:
        """Have the engine take the object from a pipe from now on."""
        if self._storing is not None:
            return
        source, self._pipe = os.pipe()
        with contextlib.suppress(OSError):  # it stays as long as it is
            fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            self._storing = self._engine.run(self._storing_from, source)
        except BaseException:
            os.close(source)
            raise
        held, self._held = self._held, bytearray()
        with memoryview(held) as first:
            self._send(first)

    def _send(self, data: memoryview) -> None:
        assert self._storing is not None
        try:
            while data:
                data = data[os.write(self._pipe, data) :]
        except BrokenPipeError:
            self._outcome(self._storing)  # raises why nobody reads it any more
            raise

    def _outcome(self, storing: asyncio.Task[TransferResult]) -> TransferResult:
        if storing.done():  # also when the engine has ended since
            return storing.result()
        result: TransferResult = self._engine.run(undisturbed, storing)
        return result

    # On the engine's loop

    async def _storing_from(self, source: int) -> asyncio.Task[TransferResult]:
        task = asyncio.create_task(self._engine.aio.upload_stream(source, self._ref, self._options))
        # A failure ends the writer's wait, too: a pipe that nobody reads cannot be written.
        task.add_done_callback(functools.partial(_let_go, source))
        return task

    def _end_input(self) -> None:
        pipe, self._pipe = self._pipe, -1
        _close(pipe)


async def _give_up(storing: asyncio.Task[TransferResult], pipe: int) -> None:
    """Cancel the upload, and only then let it see the end of its input, which would complete the object."""
    storing.cancel()
    try:
        await outlast(storing)
        look_at([storing])
    finally:
        _close(pipe)


def _close(pipe: int) -> None:
    if pipe >= 0:
        os.close(pipe)


def _let_go(source: int, storing: asyncio.Task[TransferResult]) -> None:
    os.close(source)
    look_at([storing])  # the writer asks for its failure with its next call, or never
