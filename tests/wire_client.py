"""A client of one connection that sends and reads what a test says, byte by byte.

Job: see what a server does while a request is still being sent. Must not know S3.
"""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Literal, Self

from tests.faultserver import FaultServer
from tests.patience import PATIENCE_S


class Wire:
    """One connection that sends and reads exactly what a test says."""

    def __init__(self, server: FaultServer) -> None:
        self._sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
        self._left = b""

    def __enter__(self) -> Self:
        """Return the open connection."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Reset it, so that nothing lingers."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def head(self, method: str, target: str, length: int, *lines: str) -> None:
        """Send a request's head."""
        text = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", f"Content-Length: {length}", *lines])
        self._sock.sendall(f"{text}\r\n\r\n".encode())

    def send(self, data: bytes) -> None:
        """Send a piece of the body."""
        self._sock.sendall(data)

    def send_until_stuck(self, data: bytes, *, timeout_s: float) -> int:
        """Send what the other side takes before it lets nothing through for so long; return how much."""
        self._sock.settimeout(timeout_s)
        sent = 0
        while sent < len(data):
            try:
                sent += self._sock.send(data[sent : sent + 65536])
            except TimeoutError:
                break
        return sent

    def reply(self) -> tuple[int, bytes]:
        """Return status and the rest of the next reply, head and body."""
        while b"\r\n\r\n" not in self._left:
            self._receive()
        head, _, rest = self._left.partition(b"\r\n\r\n")
        lengths = [line[16:] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
        length = int(lengths[0]) if lengths else 0
        self._left = rest
        while len(self._left) < length:
            self._receive()
        body, self._left = self._left[:length], self._left[length:]
        return int(head[9:12]), head + b"\r\n\r\n" + body

    def ending(self) -> Literal["close", "reset"]:
        """Return how the connection ended, with nothing more to read."""
        try:
            assert self._sock.recv(1) == b""
        except ConnectionResetError:
            return "reset"
        return "close"

    def _receive(self) -> None:
        data = self._sock.recv(65536)
        assert data, "the server closed"
        self._left += data
