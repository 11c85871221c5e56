"""What the distant server itself can do, so that nobody takes its limits for a client's.

    python -m bench.distant_server.ceiling [--tls]

One thread of raw sockets asks on 64 connections at once, without latency and without a rate, and throws
bodies away uncopied. Prints for each kind of request what came through, and what it cost the server's process.
"""

import argparse
import json
import socket
import ssl
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from .launch import DistantServer, distant_server

CONNECTIONS = 64
BLOCK_BYTES = 1 << 20
KIB, MIB = 1 << 10, 1 << 20
# kind, bytes of the body, requests
CASES = (
    ("HEAD", 0, 50_000),
    ("GET", 16 * KIB, 50_000),
    ("GET", 64 * KIB, 40_000),
    ("GET", 8 * MIB, 1_000),
    ("PUT", 64 * KIB, 20_000),
    ("PUT", 8 * MIB, 500),
)


def requests_of(kind: str, size_bytes: int) -> tuple[bytes, bytes]:
    """Return a request's head and body; reads are ranges of one object of 64 MiB."""
    target = "/bench/1x64MiB/00000000.bin" if kind != "PUT" else "/bench/put"
    length = f"content-length: {size_bytes}\r\n" if kind == "PUT" else ""
    asked = f"range: bytes=0-{size_bytes - 1}\r\n" if kind == "GET" else ""
    signature = f"authorization: AWS4-HMAC-SHA256 {'x' * 180}\r\nx-amz-date: 20260101T000000Z\r\n"
    head = f"{kind} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{signature}{asked}{length}\r\n"
    return head.encode(), b"\0" * size_bytes if kind == "PUT" else b""


def read_reply(sock: socket.socket, buffer: memoryview, *, is_head: bool) -> None:
    """Read one reply and throw it away."""
    head = b""
    while b"\r\n\r\n" not in head:
        if not (data := sock.recv(8 * KIB)):
            raise ConnectionError("the server closed the connection")
        head += data
    text, _, begun = head.partition(b"\r\n\r\n")
    length = int(text.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
    left = 0 if is_head else length - len(begun)
    flags = 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_TRUNC
    while left:
        left -= sock.recv_into(buffer, min(left, len(buffer)), flags)


def statistics(server: DistantServer) -> dict[str, float]:
    """Return the server's counters."""
    context = ssl.create_default_context(cafile=str(server.ca_bundle)) if server.ca_bundle else None
    with urllib.request.urlopen(f"{server.endpoint}/-/statistics", context=context) as reply:  # noqa: S310 - loopback
        counters: dict[str, float] = json.load(reply)
    return counters


def measure(server: DistantServer, kind: str, size_bytes: int, requests: int) -> dict[str, object]:
    """Send so many requests and return what came through."""
    address = urlsplit(server.endpoint)
    context = ssl.create_default_context(cafile=str(server.ca_bundle)) if server.ca_bundle else None
    buffer = memoryview(bytearray(BLOCK_BYTES))
    connections: list[socket.socket] = []
    try:
        for _ in range(CONNECTIONS):
            sock = socket.create_connection((str(address.hostname), int(address.port or 0)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(context.wrap_socket(sock, server_hostname="127.0.0.1") if context else sock)
        head, body = requests_of(kind, size_bytes)
        before, began_s = statistics(server), time.monotonic()
        for _ in range(requests // CONNECTIONS):
            for sock in connections:
                sock.sendall(head + body)
            for sock in connections:
                read_reply(sock, buffer, is_head=kind == "HEAD")
        took_s = time.monotonic() - began_s
        after = statistics(server)
    finally:
        for sock in connections:
            sock.close()
    done = requests // CONNECTIONS * CONNECTIONS
    cpu_s = after["cpu_s"] - before["cpu_s"]
    return {
        "kind": kind,
        "bytes": size_bytes,
        "requests_per_s": round(done / took_s),
        "gb_per_s": round(done * size_bytes / took_s / 1e9, 2),
        "server_us_per_request": round(cpu_s / done * 1e6, 1),
        "server_cpu_s_per_gb": round(cpu_s / (done * size_bytes / 1e9), 2) if size_bytes else None,
        "server_busy": round(cpu_s / took_s, 2),
    }


def main() -> None:
    """Measure every case."""
    options = argparse.ArgumentParser(prog="python -m bench.distant_server.ceiling", description=__doc__)
    options.add_argument("--tls", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        tls_folder = Path(name) if given.tls else None
        limits = ["--objects", "1x64MiB", "--latency-ms", "0", "--rate", "0"]
        with distant_server(limits, tls_folder=tls_folder) as server:
            for case in CASES:
                print(json.dumps(measure(server, *case)), flush=True)


if __name__ == "__main__":
    main()
