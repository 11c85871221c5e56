"""Joins file objects of Python to pipes, which transfers read and write; each has a thread of its own.

A file object may wait for as long as it likes. A transfer that ends before lets go of the thread, which ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO

from bulkhaul.engine.loop.tasks import look_at, outlast
from bulkhaul.engine.loop.threads import in_own_thread
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.results import TransferResult

PIECE_BYTES = MIB
"""Bytes of one ``read`` of a file object, or of the pipe."""


async def piped_from(source: BinaryIO, store: Callable[[int], Coroutine[None, None, TransferResult]]) -> TransferResult:
    """Store what a file object gives until its end, by means of the descriptor that ``store`` is given.

    Raises:
        Whatever ``read`` or ``store`` raises; a failed ``read`` cancels ``store`` before it sees an end of the input.
    """
    reading, writing = os.pipe()
    feed = _Feed(writing)
    try:
        ended = in_own_thread(lambda: _feed_from(source, feed), "bulkhaul-file")
        storing = asyncio.ensure_future(store(reading))
        try:
            waited: list[asyncio.Future[Any]] = [storing, ended]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not storing.done():
                if (error := ended.result()) is not None:
                    raise error
                feed.close()
            return await storing
        except BaseException:
            storing.cancel()
            await outlast(storing)
            look_at([storing])
            raise
    finally:
        os.close(reading)  # a write that waits ends now
        feed.close()


async def piped_to(sink: BinaryIO, fetch: Callable[[int], Coroutine[None, None, TransferResult]]) -> TransferResult:
    """Write to a file object what ``fetch`` writes to the descriptor that it is given.

    Raises:
        Whatever ``write`` or ``fetch`` raises.
    """
    reading, writing = os.pipe()
    feed = _Feed(writing)
    try:
        try:
            ended = in_own_thread(lambda: _write_from(reading, sink), "bulkhaul-file")
        except BaseException:
            os.close(reading)
            raise
        try:
            result = await fetch(writing)
        except BrokenPipeError:
            if (error := await ended) is not None:
                raise error from None
            raise
        feed.close()
        if (error := await ended) is not None:
            raise error
        return result
    finally:
        feed.close()


class _Stopped(Exception):
    """Nobody takes what is read any more."""


class _Feed:
    """The end of a pipe that is written: closed once, and never while a thread writes to it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            _Stopped: nobody reads any more.
        """
        with memoryview(data) as view, self._lock:
            at = 0
            while at < len(view):
                if self._fd < 0:
                    raise _Stopped
                try:
                    at += os.write(self._fd, view[at:])
                except BrokenPipeError:
                    raise _Stopped from None

    def close(self) -> None:
        """Let the reader see the end. Safe to call twice; a thread that writes has no reader any more, or has ended."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


def _feed_from(source: BinaryIO, feed: _Feed) -> None:
    with contextlib.suppress(_Stopped):
        while True:
            data = source.read(PIECE_BYTES)
            if data is None:  # by io's contract: a stream that never waits has nothing yet
                raise UsageError("the file object does not wait for its data; give one that blocks")
            if not data:
                return
            feed.write(data)


def _write_from(reading: int, sink: BinaryIO) -> None:
    with os.fdopen(reading, "rb", buffering=0) as pipe:  # a failure closes it, and so ends the transfer
        while data := pipe.read(PIECE_BYTES):
            at = 0
            while at < len(data):
                count = sink.write(data[at:] if at else data)
                if not count:
                    raise UsageError("the file object takes no data; give one that blocks")
                at += count
