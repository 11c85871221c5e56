"""Joins file objects of Python to sockets, which transfers read and write as pipes; each has a thread of its own.

A file object may wait for as long as it likes. A transfer that ends before lets go of the thread, which ends with it.
Sockets, since they can be hung up: a child that was forked holds copies of both ends, and a pipe would stay open.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO

from bulkhaul.engine.loop.tasks import look_at, outlast
from bulkhaul.engine.loop.threads import in_own_thread
from bulkhaul.engine.messages.channel import hang_up
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.results import TransferResult

PIECE_BYTES = MIB
"""Bytes of one ``read`` of a file object, or of the socket."""


def joined() -> tuple[socket.socket, socket.socket]:
    """Return two sockets: what is written to one is read from the other. They block, whatever the program's default.

    Raises:
        OSError: this process may open no more files.
    """
    ours, theirs = socket.socketpair()
    ours.settimeout(None)
    theirs.settimeout(None)
    return ours, theirs


async def piped_from(source: BinaryIO, store: Callable[[int], Coroutine[None, None, TransferResult]]) -> TransferResult:
    """Store what a file object gives until its end, by means of the descriptor that ``store`` is given.

    Raises:
        Whatever ``read`` or ``store`` raises; a failed ``read`` cancels ``store`` before it sees an end of the input.
    """
    writing, reading = joined()
    feed = _Feed(writing)
    try:
        ended = in_own_thread(lambda: _feed_from(source, feed), "bulkhaul-file")
        storing = asyncio.ensure_future(store(reading.fileno()))
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
        hang_up(reading)  # a write that waits ends now
        feed.close()


async def piped_to(sink: BinaryIO, fetch: Callable[[int], Coroutine[None, None, TransferResult]]) -> TransferResult:
    """Write to a file object what ``fetch`` writes to the descriptor that it is given.

    When it has failed no further ``write`` begins; one that is under way goes on.

    Raises:
        Whatever ``write`` or ``fetch`` raises.
    """
    writing, reading = joined()
    writing.setblocking(False)  # ``fetch`` looks in between whether it was cancelled
    feed, failed = _Feed(writing), threading.Event()
    try:
        try:
            ended = in_own_thread(lambda: _write_from(reading, sink, failed), "bulkhaul-file")
        except BaseException:
            hang_up(reading)
            raise
        try:
            result = await fetch(writing.fileno())
        except BrokenPipeError:
            if (error := await ended) is not None:
                raise error from None
            raise
        feed.close()
        if (error := await ended) is not None:
            raise error
        return result
    except BaseException:
        failed.set()
        raise
    finally:
        feed.close()


class _Stopped(Exception):
    """Nobody takes what is read any more."""


class _Feed:
    """The socket that is written: closed once, and never while a thread writes to it."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock: socket.socket | None = sock
        self._lock = threading.Lock()

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises:
            _Stopped: nobody reads any more.
        """
        with self._lock:
            if self._sock is None:
                raise _Stopped
            try:
                self._sock.sendall(data)
            except ConnectionError:
                raise _Stopped from None

    def close(self) -> None:
        """Let the reader see the end. Safe to call twice; a thread that writes has no reader any more, or has ended."""
        with self._lock:
            sock, self._sock = self._sock, None
            if sock is not None:
                hang_up(sock)


def _feed_from(source: BinaryIO, feed: _Feed) -> None:
    with contextlib.suppress(_Stopped):
        while True:
            data = source.read(PIECE_BYTES)
            if data is None:  # by io's contract: a stream that never waits has nothing yet
                raise UsageError("the file object does not wait for its data; give one that blocks")
            if not data:
                return
            feed.write(data)


def _write_from(reading: socket.socket, sink: BinaryIO, failed: threading.Event) -> None:
    try:
        while data := reading.recv(PIECE_BYTES):
            at = 0
            while at < len(data):
                if failed.is_set():
                    return
                count = sink.write(data[at:] if at else data)
                if not count:
                    raise UsageError("the file object takes no data; give one that blocks")
                at += count
    finally:
        hang_up(reading)  # and so ends the transfer, if it goes on
