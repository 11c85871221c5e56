"""Spreads the connections of one worker over the addresses of a host, and goes round those that do not answer.

    name ─▶ looked up once in ``KEPT_S`` ─▶ dealt out in turn ─▶ first that connects

S3 answers a lookup with up to eight addresses, and one of them carries only a part of what a client can take. An
address that fails, or lets half of the time left go by, is followed by the next, of the other family (IPv4, IPv6) if
there is one; for a while it comes last. It knows TCP alone: TLS and HTTP are the caller's.

Source: AWS What's New, August 2023, "Amazon S3 now supports multivalue answer in response to DNS queries"; RFC 8305
for the order of families.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import deque
from itertools import chain, zip_longest
from typing import Any, NamedTuple

KEPT_S = 5.0
"""How long a lookup is used: as long as S3's own records live. Source: ``dig s3.us-east-1.amazonaws.com``."""

AVOIDED_S = 10.0
"""How long an address that failed comes last: a dead one makes few wait, and one that is back is soon used."""

MIN_ATTEMPT_S = 0.25
"""The least time for an address before the next is tried. Source: RFC 8305 section 8, Connection Attempt Delay."""

_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE)
"""Failures that another address does not heal."""


class Address(NamedTuple):
    """One address of a host, as the resolver tells it."""

    family: int
    protocol: int
    place: tuple[Any, ...]


def needs_no_lookup(host: str) -> bool:
    """Whether a host is an address, or this machine: it has nothing to spread over."""
    return ":" in host or host == "localhost" or host.rpartition(".")[2].isdigit()


class Addresses:
    """The addresses of hosts, and which of them failed of late."""

    def __init__(self) -> None:
        """Know no host yet."""
        self._hosts: dict[tuple[str, int], _Host] = {}
        self._avoided_until_s: dict[Address, float] = {}

    async def connect(self, host: str, port: int, *, timeout_s: float) -> socket.socket:
        """Return a socket that is connected to one of the addresses of a host.

        Args:
            timeout_s: after which the caller cancels this. An address may take half of what is left, the last all.

        Raises:
            OSError: there is no such host, or none of its addresses takes connections; then it is the first's error.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        known = self._hosts.setdefault((host, port), _Host(host, port))
        found = await known.addresses()
        untried = deque(self._in_order(found, known.next_turn(), loop.time()))
        errors: list[OSError] = []
        while untried:
            address = untried.popleft()
            share_s = max((deadline_s - loop.time()) / 2, MIN_ATTEMPT_S) if untried else None
            try:
                async with asyncio.timeout(share_s):
                    return await connected(address)
            except TimeoutError:
                untried.append(address)  # it may be only slow: the others first
            except OSError as error:
                if error.errno in _OF_THIS_MACHINE:
                    raise
                errors.append(error)
            self._avoided_until_s[address] = loop.time() + AVOIDED_S
        raise errors[0]

    def _in_order(self, found: list[Address], turn: int, now_s: float) -> list[Address]:
        """Return the addresses, the one whose turn it is first, those that failed of late last.

        The resolver's first address tells which family this machine prefers (RFC 6724).
        """
        self._avoided_until_s = {one: until_s for one, until_s in self._avoided_until_s.items() if until_s > now_s}
        avoided = [one for one in found if one in self._avoided_until_s]
        if len(avoided) == len(found):  # the host or the network was away, which says nothing of one address
            for one in avoided:
                del self._avoided_until_s[one]
            avoided = []
        good = [one for one in found if one not in self._avoided_until_s]
        preferred = [one for one in good if one.family == good[0].family]
        first = turn % len(preferred)
        families = zip_longest(preferred[first:] + preferred[:first], [one for one in good if one not in preferred])
        return [one for one in chain.from_iterable(families) if one is not None] + avoided


class _Host:
    """One name and what the resolver says of it; lookups at the same time are one."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._found: list[Address] = []
        self._until_s = float("-inf")
        self._lookup: asyncio.Task[None] | None = None
        self._turn = os.getpid()  # workers begin at different addresses

    def next_turn(self) -> int:
        self._turn += 1
        return self._turn

    async def addresses(self) -> list[Address]:
        """Return the addresses, at least one, in the resolver's order. A failure is not kept."""
        if asyncio.get_running_loop().time() >= self._until_s:
            if self._lookup is None:
                self._lookup = asyncio.create_task(self._look_up())
                self._lookup.add_done_callback(_seen)
            await asyncio.shield(self._lookup)  # whoever gives up leaves it to the others
        return self._found

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            told = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        finally:
            self._lookup = None
        found = list(dict.fromkeys(Address(family, protocol, place) for family, _, protocol, _, place in told))
        if not found:
            raise OSError("the name has no address")
        self._found = found
        self._until_s = loop.time() + KEPT_S


def _seen(lookup: asyncio.Task[None]) -> None:
    """Take note of a failure that nobody waits for any more."""
    if not lookup.cancelled():
        lookup.exception()


async def connected(address: Address) -> socket.socket:
    """Return a socket that is connected to an address.

    Not by the loop's ``sock_connect``: uvloop's looks the address up again, in the few threads that lookups of names
    have, and drops an IPv6 scope.
    """
    sock = socket.socket(address.family, socket.SOCK_STREAM, address.protocol)
    try:
        sock.setblocking(False)
        if (number := sock.connect_ex(address.place)) == errno.EINPROGRESS:
            await _writable(sock)
            number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, f"Connect call failed {address.place}")
    except BaseException:
        sock.close()
        raise
    return sock


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    known: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not known.done():
            known.set_result(None)

    loop.add_writer(sock, tell)
    try:
        await known
    finally:
        loop.remove_writer(sock)
