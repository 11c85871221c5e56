"""Finds ports of 127.0.0.1 that nobody listens on, and keeps them for a server that is starting."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bulkhaul.model.errors import OtherError

PORTS = range(20000, 22768)
"""Below what Linux hands to outgoing connections (32768 on), also after adding 10000."""


@contextmanager
def free_ports(count: int, *, offsets: Sequence[int] = (0,)) -> Iterator[list[int]]:
    """Give different ports of 127.0.0.1 that nobody listens on, nor on them plus each offset.

    A server may take a while to listen on them all: until the end of the block, nobody else of this machine who asks
    here is given one of them.

    Raises:
        OtherError: there are not so many.
    """
    found: list[int] = []
    with ExitStack() as claims:
        for port in random.sample(PORTS, len(PORTS)):
            if len(found) == count:
                break
            claim = claims.enter_context(socket.socket(socket.AF_UNIX))
            if _is_claimed_by(claim, port) and all(_is_free(port + offset) for offset in offsets):
                found.append(port)
        if len(found) < count:
            raise OtherError(f"no {count} free ports between {PORTS.start} and {PORTS.stop}: end some servers")
        yield found


def _is_claimed_by(claim: socket.socket, port: int) -> bool:
    """Claim a port by a name that is free again when the socket is closed, whatever closes it; tell whether it was."""
    try:
        claim.bind(f"\0bulkhaul-port-{port}")
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
