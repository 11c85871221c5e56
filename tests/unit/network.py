"""A network of a test's own: what names mean there, servers at several addresses, and loops that connect over it."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import uvloop

from bulkhaul.wire import addresses
from bulkhaul.wire.addresses import Address
from bulkhaul.wire.values import Target

NAME = "objects.localhost"
PATIENCE_S = 30.0


class Network:
    """What names mean, and what becomes of a connection to an address, where this machine is not asked.

    Attributes:
        names: the addresses of each; an exception fails the lookup.
        failing: addresses with what connecting to them raises; None if nothing ever comes back.
        lookups: the names, or addresses, that were looked up.
        tried: the addresses that were connected to.
        ahead_s: how far the clock is ahead.
        silent: set once nothing has come back from an address.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[str] | OSError] = {}
        self.failing: dict[str, OSError | None] = {}
        self.lookups: list[str] = []
        self.tried: list[str] = []
        self.ahead_s = 0.0
        self.silent = asyncio.Event()

    def told(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """Return what a resolver does."""
        found = self.names[host]
        if isinstance(found, OSError):
            raise found
        kind, protocol = socket.SOCK_STREAM, socket.IPPROTO_TCP
        return [
            (socket.AF_INET6, kind, protocol, "", (one, port, 0, 0))
            if ":" in one
            else (socket.AF_INET, kind, protocol, "", (one, port))
            for one in found
        ]


NETWORK = Network()
"""The network of the test that runs."""


class _OnNetwork:
    async def getaddrinfo(self, host: Any, port: Any, **given: Any) -> Any:
        NETWORK.lookups.append(host)
        if host not in NETWORK.names:
            return await super().getaddrinfo(host, port, **given)  # type: ignore[misc]
        await asyncio.sleep(0.01)
        return NETWORK.told(host, port)


async def connected(address: Address) -> socket.socket:
    """Connect to an address as the network has it."""
    NETWORK.tried.append(address.place[0])
    if address.place[0] in NETWORK.failing:
        if error := NETWORK.failing[address.place[0]]:
            raise error
        NETWORK.ahead_s += PATIENCE_S / 2 + 1
        NETWORK.silent.set()
        await asyncio.Event().wait()
    return await CONNECTED(address)


CONNECTED = addresses.connected


class PlainLoop(_OnNetwork, asyncio.SelectorEventLoop):
    """A loop whose clock can be put forward."""

    def time(self) -> float:
        return super().time() + NETWORK.ahead_s


class FastLoop(_OnNetwork, uvloop.Loop):  # type: ignore[misc]
    """The loop of workers."""


def run(story: Callable[[], Awaitable[None]], loop: type[asyncio.AbstractEventLoop] = PlainLoop) -> None:
    """Play a story on a loop of that kind; nothing may be left open."""

    async def play() -> None:
        async with asyncio.timeout(60):
            await story()

    with patch.object(addresses, "connected", connected), asyncio.Runner(loop_factory=loop) as runner:
        runner.run(play())
    gc.collect()  # a socket left open is a warning, and so an error


class Guest(asyncio.Protocol):
    """The server's end of one connection, open as long as the client's."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._servers.seen[transport.get_extra_info("sockname")[0]] += 1
        self._servers.open.add(transport)
        self._servers.met.set()


class Servers:
    """Servers at several addresses and one port, and how many connections each has had."""

    def __init__(self) -> None:
        self.port = 0
        self.seen: Counter[str] = Counter()
        self.open: set[asyncio.BaseTransport] = set()
        self.met = asyncio.Event()

    @asynccontextmanager
    async def at(self, *addresses: str, tls: Any = None) -> AsyncIterator[Servers]:
        """Listen at addresses."""
        listening: list[asyncio.AbstractServer] = []
        try:
            for address in addresses:
                loop = asyncio.get_running_loop()
                bound = await loop.create_server(lambda: Guest(self), address, self.port, ssl=tls)
                listening.append(bound)
                self.port = bound.sockets[0].getsockname()[1]
            yield self
        finally:
            for server in listening:
                server.close()
            for guest in self.open:
                guest.close()
            await asyncio.sleep(0.01)  # closing takes a turn of the loop

    def target(self, host: str = NAME, scheme: str = "http") -> Target:
        """Return the target of that name at their port."""
        return Target(scheme, host, self.port, "/bucket/", "us-east-1", fast=True)

    async def settled(self, count: int) -> None:
        """Wait until so many connections were seen."""
        while self.seen.total() < count:
            self.met.clear()
            await self.met.wait()
