"""Reads and writes pipes block by block, in threads that can be told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import mmap
import os
import select
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bulkhaul.disk.oserrors import local_error
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import no_thread
from bulkhaul.engine.messages.memory import new_memory
from bulkhaul.engine.transfers.block import Block
from bulkhaul.model.errors import LocalError
from bulkhaul.model.limits import MIB
from bulkhaul.policy.layout import Part

READ_BYTES = MIB
"""Bytes of one read from a pipe; Linux gives at most what the pipe holds, 64 KiB by default."""

WRITE_BYTES = MIB
"""Bytes that are read from a block and written at a time; a pipe takes what it has room for."""

LOOK_UP_S = 0.2
"""How often a read or a write that waits for the other end looks whether it was cancelled."""

END_PAUSE_S = 0.1
"""How long we wait before we believe the end of an input. Ctrl-C goes to every program of a pipeline; the one before us
may have died of it before we hear of it, and then what it has written is not all that it had to write."""


class Pipe:
    """One end of a pipe, read or written in a thread that can be told to stop."""

    def __init__(self, fd: int, event: int) -> None:
        # A thread of its own: a silent program at the other end must not keep other transfers waiting.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pipe")
        self._fd = fd
        self._stopped = threading.Event()
        self._poll = select.poll()
        self._poll.register(fd, event)

    def stop(self) -> None:
        """Let the thread that waits for the other end give up, and end. Safe to call twice."""
        self._stopped.set()
        self._thread.shutdown(wait=False)

    def _ready(self) -> bool:
        """Wait for the other end; False when told to stop."""
        while not self._stopped.is_set():
            if self._poll.poll(LOOK_UP_S * 1000):
                return True
        return False


class PipeReader(Pipe):
    """Reads a descriptor to its end, block by block."""

    def __init__(self, fd: int) -> None:
        super().__init__(fd, select.POLLIN)

    async def block(self, start: int, number: int, size_bytes: int) -> Block:
        """Return the next block, shorter than ``size_bytes`` at the end only; the caller closes it.

        Raises:
            LocalError: the descriptor cannot be read.
        """
        loop = asyncio.get_running_loop()
        try:
            reading = loop.run_in_executor(self._thread, self._read, start, number, size_bytes)
        except RuntimeError as error:
            raise no_thread(error) or error from error
        return await undisturbed(reading, hurry=self.stop, undo=Block.close)

    async def some(self, most_bytes: int) -> bytes:
        """Return what can be read by now, waiting for at least one byte; nothing at the end.

        Raises:
            LocalError: the descriptor cannot be read.
        """
        try:
            reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read_some, most_bytes)
        except RuntimeError as error:
            raise no_thread(error) or error from error
        return await undisturbed(reading, hurry=self.stop)

    def _read_some(self, most_bytes: int) -> bytes:
        while self._ready():
            try:
                data = os.read(self._fd, most_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise LocalError("the input cannot be read", cause=os.strerror(error.errno or 0)) from error
            if not data:
                self._stopped.wait(END_PAUSE_S)
            return data
        return b""

    def _read(self, start: int, number: int, size_bytes: int) -> Block:
        filled = 0
        try:
            fd = new_memory()
        except OSError as error:
            raise local_error(error) from error
        try:
            os.ftruncate(fd, size_bytes)
            with mmap.mmap(fd, size_bytes) as memory, memoryview(memory) as view:
                while filled < size_bytes and self._ready():
                    with view[filled : filled + READ_BYTES] as space, contextlib.suppress(BlockingIOError):
                        if not (count := os.readv(self._fd, [space])):
                            self._stopped.wait(END_PAUSE_S)
                            break
                        filled += count
            os.ftruncate(fd, filled)
        except OSError as error:
            os.close(fd)
            raise LocalError("the input cannot be read", cause=os.strerror(error.errno or 0)) from error
        return Block(Part(number, start, start + filled), fd)


class PipeWriter(Pipe):
    """Writes blocks to a descriptor."""

    def __init__(self, fd: int) -> None:
        self._own_fd = _reopened(fd)
        self._buffer = memoryview(bytearray(WRITE_BYTES))
        super().__init__(fd if self._own_fd is None else self._own_fd, select.POLLOUT)

    def close(self) -> None:
        """End the thread, and let go of what was opened; the caller's descriptor stays open."""
        self.stop()
        if self._own_fd is not None:
            os.close(self._own_fd)
            self._own_fd = None

    async def write(self, block: Block, watch: Callable[[memoryview], None]) -> None:
        """Write a block, and show its bytes to ``watch`` on the way.

        Raises:
            BrokenPipeError: nobody reads any more.
            LocalError: the descriptor cannot be written.
        """
        try:
            writing = asyncio.get_running_loop().run_in_executor(self._thread, self._write, block, watch)
        except RuntimeError as error:
            raise no_thread(error) or error from error
        await undisturbed(writing, hurry=self.stop)

    def _write(self, block: Block, watch: Callable[[memoryview], None]) -> None:
        at = 0
        while at < block.part.size_bytes and self._ready():
            # Read, not mapped: that would cost a page fault for each page.
            piece = self._buffer[: os.preadv(block.fd, [self._buffer], at)]
            watch(piece)
            at += len(piece)
            while piece and self._ready():
                with contextlib.suppress(BlockingIOError):
                    try:
                        piece = piece[os.write(self._fd, piece) :]
                    except (BrokenPipeError, BlockingIOError):
                        raise
                    except OSError as error:
                        text = "the output cannot be written"
                        raise LocalError(text, cause=os.strerror(error.errno or 0)) from error


def _reopened(fd: int) -> int | None:
    """Return another description of the same pipe, one that never blocks; None where there is none, or no need.

    The flag must not be set on the caller's own: it may share it with other programs.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
