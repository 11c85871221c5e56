"""The other end of a wire.http1.Connection: a transport without a socket that feeds it bytes, piece by piece."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar, cast

from bulkhaul.model.objects import Checksum
from bulkhaul.wire.first_bytes import FirstBytes
from bulkhaul.wire.http1 import Begin, Connection
from bulkhaul.wire.http1_parsing import ReplyHead
from bulkhaul.wire.told import MAX_HEAD_BYTES

T = TypeVar("T")

REQUEST = b"GET /k HTTP/1.1\r\nhost: h\r\n\r\n"


class Kept:
    """A sink that keeps a body, offering no more than ``window`` bytes of space at a time."""

    def __init__(self, window: int = 1 << 16) -> None:
        self.bytes = b""
        self._space = memoryview(bytearray(window))

    def expect(self, checksum: Checksum | None) -> None:
        """A connection tells none."""

    def space(self) -> memoryview:
        """Return the window."""
        return self._space

    def received(self, count: int) -> None:
        """Keep the first bytes of the window."""
        self.bytes += bytes(self._space[:count])


class Peer:
    """Plays the socket transport of one connection and whoever is behind it.

    Attributes:
        written: what the connection has sent.
        aborted: whether the connection has closed the transport.
        takes_bytes: how much more of what is written leaves at once, -1 for everything; ``read`` lets the rest go.
    """

    def __init__(self) -> None:
        self._scratch = bytearray(MAX_HEAD_BYTES)
        self.first_bytes = FirstBytes()
        self.connection = Connection(first_bytes=self.first_bytes, scratch=self._scratch)
        self.written = b""
        self.aborted = False
        self.takes_bytes = -1
        self._lost = False
        self._kept_bytes = 0
        self.connection.connection_made(cast("asyncio.BaseTransport", self))

    # What an asyncio.Transport does

    def write(self, data: bytes) -> None:
        """Take a request, or a piece of a body; a connection that has lost its peer may not know it yet."""
        if self._lost:
            return
        assert not self.aborted
        self.written += data
        if self.takes_bytes >= 0:
            self.takes_bytes -= len(data)
            if self.takes_bytes < 0:
                self._kept_bytes = -self.takes_bytes
                self.connection.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Pause as soon as something is kept, as these limits ask for."""
        assert (high, low) == (1, 0)

    def get_extra_info(self, name: str) -> None:
        """This is no TLS."""
        assert name == "ssl_object"

    def get_write_buffer_size(self) -> int:
        """Return how much of what was written is kept."""
        return self._kept_bytes

    def abort(self) -> None:
        """Close at once; as in asyncio, connection_lost comes later."""
        self.aborted = True
        asyncio.get_running_loop().call_soon(self._lose, None)

    def is_closing(self) -> bool:
        """Whether the transport is closed."""
        return self.aborted

    # What the peer does

    def read(self, count: int = -1) -> None:
        """Let what was written leave, and ``count`` bytes more, -1 for everything."""
        self.takes_bytes, self._kept_bytes = count, 0
        self.connection.resume_writing()

    def send(self, data: bytes) -> None:
        """Let bytes come, in one read if the connection has room for them; nothing is read after it closed."""
        while data and not self.aborted:
            space = self.connection.get_buffer(-1)
            count = min(len(space), len(data))
            assert count > 0, "a protocol always has room for what comes"
            space[:count] = data[:count]
            self.connection.buffer_updated(count)
            data = data[count:]
            self._scratch[:4096] = bytes(4096)  # another connection reads into it meanwhile

    def hang_up(self, error: Exception | None = None) -> None:
        """Close from the other side, in order or by a reset."""
        if error is None:
            self.connection.eof_received()
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost:
            self._lost = self.aborted = True
            self.connection.connection_lost(error)

    async def exchange(self, begin: Begin, pieces: Iterable[bytes], *, then_close: bool = False) -> ReplyHead:
        """Send a request and let the reply come in these pieces, one read each."""
        task = asyncio.create_task(self.connection.exchange(REQUEST, begin))
        await asyncio.sleep(0)
        for piece in pieces:
            self.send(piece)
        if then_close:
            self.hang_up()
        return await task


def run(play: Callable[[], Awaitable[T]]) -> T:
    """Run one play on a loop of its own."""

    async def whole() -> T:
        return await play()

    return asyncio.run(whole())


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut bytes at these places."""
    edges = [0, *sorted({min(cut, len(data)) for cut in cuts}), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(edges) if end > begin]
