"""A gate in front of a server: a TCP port that passes everything on, goes away, and comes back.

Job: be the network between a client and a real server, and fail like one. Must not know what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import uvloop

from bulkhaul.embedded.ports import free_ports

How = Literal["refuse", "reset"]

_CHUNK_BYTES = 64 * 1024
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends a reset


class Gate:
    """One port of 127.0.0.1 in front of another one.

    Attributes:
        port: where clients connect.
        refused: connections that were taken and dropped while the server was away.
    """

    def __init__(self, port: int, server_port: int, *, bytes_per_s: float) -> None:
        """Take both ports, and the rate that all connections share, in each direction."""
        self.port = port
        self.refused = 0
        self._server_port = server_port
        self._bytes_per_s = bytes_per_s
        self._due_s = 0.0
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[Any]] = set()
        self._resets = False
        self._server: asyncio.Server | None = None
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gate")
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """The URL of the port."""
        return f"http://127.0.0.1:{self.port}"

    def away(self, how: How) -> None:
        """Break every connection, and refuse or reset each new one."""
        self._call(self._away(how))

    def back(self) -> None:
        """Pass connections on, from now on."""
        self._call(self._back())

    def close(self) -> None:
        """End for good."""
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _away(self, how: How) -> None:
        self._resets = True
        if how == "refuse" and self._server is not None:
            self._server.close()
            self._server = None
        for task in self._pumps:
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _end(self) -> None:
        await self._away("refuse")
        while begun := asyncio.all_tasks() - {asyncio.current_task()}:  # connections that were just taken
            await asyncio.gather(*begun, return_exceptions=True)
        await asyncio.sleep(0)  # their sockets are closed by callbacks

    async def _back(self) -> None:
        self._resets = False
        if self._server is None:
            self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port, backlog=512)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        beyond: asyncio.StreamWriter | None = None
        try:
            if self._resets:
                self.refused += 1
                return
            answers, beyond = await asyncio.open_connection("127.0.0.1", self._server_port)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, beyond))
                both.create_task(self._pump(answers, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # either side has ended, or the gate is away
        finally:
            self._pumps.discard(task)
            for one in (writer, beyond):
                if one is not None:
                    _reset(one)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            await self._hold(len(chunk))
            writer.write(chunk)
            await writer.drain()
        raise ConnectionAbortedError

    async def _hold(self, count: int) -> None:
        """Wait as long as the rate wants it."""
        if self._bytes_per_s == float("inf"):
            return
        now_s = self._loop.time()
        self._due_s = max(self._due_s, now_s) + count / self._bytes_per_s
        await asyncio.sleep(self._due_s - now_s)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw: socket.socket | None = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


@contextmanager
def gate(server_port: int, *, bytes_per_s: float = float("inf")) -> Iterator[Gate]:
    """Run an open gate in front of a server's port."""
    with free_ports(1) as (port,):
        made = Gate(port, server_port, bytes_per_s=bytes_per_s)
        try:
            made.back()
            yield made
        finally:
            made.close()
