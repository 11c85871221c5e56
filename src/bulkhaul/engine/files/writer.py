"""Writes an object as a file of unknown length: it is there when it is closed, and not at all if anything failed."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
from concurrent.futures import CancelledError as FutureCancelledError

from bulkhaul.engine.files.runs import Runs
from bulkhaul.engine.files.stored_when_closed import StoredWhenClosed
from bulkhaul.engine.loop.tasks import look_at, outlast, undisturbed
from bulkhaul.engine.messages.channel import hang_up
from bulkhaul.engine.transfers.file_objects import joined
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions

HELD_BYTES = 4 * MIB
"""What is held until it is known whether more comes: an object of less is stored by one PUT, and needs no sockets."""


class ObjectWriter(StoredWhenClosed):
    """An object that is being written: ``open(url, "wb")`` returns it.

    ``close`` stores it, and returns when it is stored. An exception in the ``with`` block, ``abort``, a write that
    failed, or forgetting to close it store nothing; what the key had before stays. At most 64 MiB of an object that is
    sent in parts are held.

    Attributes:
        name: the object's URL.
        result: what was stored, once it is closed; None before, and after an abort.
    """

    def __init__(self, engine: Runs, ref: ObjectRef, options: ObjectOptions) -> None:
        self._engine = engine
        self._ref = ref
        self._options = options
        self._held = bytearray()
        self._input = -1  # a number: the garbage collector would close a socket, and so end the input, before this
        self._storing: asyncio.Task[TransferResult] | None = None
        super().__init__(ref.url)

    def _take(self, data: memoryview) -> None:
        self._engine.require_elsewhere()  # the upload runs there, and nothing would read what is sent
        if self._storing is None and len(self._held) + len(data) < HELD_BYTES:
            self._held += data
            return
        if self._storing is None:
            self._begin()
        self._send(data)

    def _store(self) -> TransferResult:
        self._engine.require_elsewhere()  # before the input ends, which completes the object
        if self._storing is None:
            upload = functools.partial(self._engine.aio.upload_bytes, self._held, self._ref, self._options)
            result: TransferResult = self._engine.run(upload)
            return result
        _end(self._taken())
        return self._outcome(self._storing)

    def _discard(self) -> None:
        self._held = bytearray()  # a failed upload's traceback may still look at the old one
        storing, given = self._storing, self._taken()
        if storing is None or storing.done():
            _end(given)
            return
        # The end of the input would complete the object: it comes after the upload's, however this wait ends.
        with contextlib.suppress(RuntimeError):  # its loop has ended meanwhile
            storing.get_loop().call_soon_threadsafe(_give_up, storing, given)
        # An engine that is being closed ends the upload itself.
        with contextlib.suppress(UsageError, RuntimeError, FutureCancelledError):
            self._engine.finish(_ended, storing)
        if storing.done():
            _end(given)

    def _taken(self) -> socket.socket | None:
        """Return the input, for the caller to end; None if that was done."""
        taken, self._input = self._input, -1
        return socket.socket(fileno=taken) if taken >= 0 else None

    def _begin(self) -> None:
        """Have the engine take the object from a socket from now on."""
        ours, theirs = joined()
        self._input = ours.detach()
        try:
            self._engine.run(self._storing_from, theirs)
        finally:
            if self._storing is None:
                hang_up(theirs)
        held, self._held = self._held, bytearray()
        with memoryview(held) as first:
            self._send(first)

    def _send(self, data: memoryview) -> None:
        assert self._storing is not None
        try:
            while data:
                data = data[os.write(self._input, data) :]
        except ConnectionError:
            self._outcome(self._storing)  # raises why nobody reads it any more
            raise

    def _outcome(self, storing: asyncio.Task[TransferResult]) -> TransferResult:
        if storing.done():  # also when the engine has ended since
            return storing.result()
        result: TransferResult = self._engine.run(functools.partial(undisturbed, storing, hurry=storing.cancel))
        return result

    # On the engine's loop

    async def _storing_from(self, source: socket.socket) -> None:
        """Begin the upload. It is told here: its caller may be interrupted before this has returned."""
        stored = self._engine.aio.upload_stream(source.fileno(), self._ref, self._options)
        self._storing = asyncio.create_task(stored)
        # A failure ends the writer's wait, too: a socket that nobody reads cannot be written.
        self._storing.add_done_callback(functools.partial(_let_go, source))


def _give_up(storing: asyncio.Task[TransferResult], given: socket.socket | None) -> None:
    """Cancel the upload, and have it see the end of its input when it has ended."""
    storing.add_done_callback(lambda _: _end(given))
    storing.cancel()


async def _ended(storing: asyncio.Task[TransferResult]) -> None:
    await outlast(storing)
    look_at([storing])


def _end(given: socket.socket | None) -> None:
    """Have the upload see the end of its input. A child that was forked may hold a copy of the descriptor."""
    if given is not None:
        hang_up(given)


def _let_go(source: socket.socket, storing: asyncio.Task[TransferResult]) -> None:
    hang_up(source)
    look_at([storing])  # the writer asks for its failure with its next call, or never
