"""Uploads the demo's objects through the engine, from memory: nothing of them is written to disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future

from bulkhaul.cli.demo.bundle import PIECE_BYTES, Bundle, Payload
from bulkhaul.engine.facade import Engine
from bulkhaul.model.results import TransferResult

STREAMED_BYTES = PIECE_BYTES
"""Larger objects go through a pipe, smaller ones from memory."""

AT_ONCE = 64
"""Small objects under way."""

PIPE_BYTES = 1024 * 1024
"""What the pipe holds. Source: fs.pipe-max-size of Linux, 1 MiB by default."""


def uploaded(engine: Engine, bucket: str, bundle: Bundle) -> Iterator[TransferResult]:
    """Upload all objects and yield their results. Closing the iterator stops the upload.

    Raises:
        TransferError: the first failure.
    """
    waiting: deque[Future[TransferResult]] = deque()
    try:
        for payload in bundle.payloads:
            url = f"s3://{bucket}/{payload.key}"
            if payload.size_bytes > STREAMED_BYTES:
                yield _streamed(engine, url, payload)
                continue
            if len(waiting) == AT_ONCE:
                yield waiting.popleft().result()
            waiting.append(engine.start_task(engine.aio.upload_bytes, payload.read(0, payload.size_bytes), url))
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _streamed(engine: Engine, url: str, payload: Payload) -> TransferResult:
    reading, writing = os.pipe()
    with contextlib.suppress(OSError, AttributeError):  # a smaller pipe is slower, nothing else
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    feeder = threading.Thread(target=_feed, args=(writing, payload), name="demo-bundle", daemon=True)
    feeder.start()
    try:
        return engine.upload_stream(reading, url)
    finally:
        os.close(reading)  # a feeder that still writes gets a broken pipe
        feeder.join()


def _feed(fd: int, payload: Payload) -> None:
    try:
        for start in range(0, payload.size_bytes, PIECE_BYTES):
            piece = memoryview(payload.read(start, min(start + PIECE_BYTES, payload.size_bytes)))
            while piece:
                piece = piece[os.write(fd, piece) :]
    except BrokenPipeError:
        return  # the upload has failed, and says so itself
    finally:
        os.close(fd)
