"""The raw-socket floor: the fastest known way to get an object from a socket to a file, and nothing else.

No retries, no checksums, no temp file, no rename: what is left is what any client on this machine has to
pay. Several processes take part numbers from one pipe until it is empty:

    ticket pipe ──▶ process 1 ─ k connections ─▶ landing ─▶ DEST (allocated beforehand)
               └──▶ process n ─ k connections ─▶ landing ─▶

    written   uvloop BufferedProtocol receives into one hot buffer a process, then pwrite
    mapped    uvloop BufferedProtocol receives into the mapped, prefaulted window of its part
    blocking  a plain socket: recv_into one hot buffer, then pwrite; one connection a process

Run it as a program: ``python bench/floor.py http://HOST:PORT/bucket/key DEST --way written``. It prints
one line of JSON. The server must answer ranged GETs without a signature, over plain TCP.
It must not import the project: the floor stays where it is when the engine changes.
"""

import argparse
import asyncio
import json
import mmap
import os
import resource
import socket
import struct
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

MADV_POPULATE_WRITE = 23  # Source: Linux 5.14, include/uapi/asm-generic/mman-common.h
HEAD_LIMIT_BYTES = 4096  # nginx answers a static file with about 300 bytes of headers
TICKET = struct.Struct("=I")
MAX_TICKETS = 65536 // TICKET.size  # what an unread pipe holds. Source: pipe(7), "Pipe capacity"


@dataclass(frozen=True, slots=True)
class Job:
    """What every process of one run knows: the object, the file and how to divide the work."""

    host: str
    port: int
    path: str
    size_bytes: int
    part_size_bytes: int
    buffer_bytes: int
    file: int
    tickets: int

    def take_span(self) -> tuple[int, int] | None:
        """Take the next part as ``[start, end)``, or None when all parts are given away."""
        ticket = os.read(self.tickets, TICKET.size)
        if not ticket:
            return None
        start = int(TICKET.unpack(ticket)[0]) * self.part_size_bytes
        return start, min(start + self.part_size_bytes, self.size_bytes)

    def request(self, start: int, end: int) -> bytes:
        """Return the ranged GET for ``[start, end)``."""
        lines = (
            f"GET {self.path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            f"Range: bytes={start}-{end - 1}",
        )
        return "\r\n".join((*lines, "", "")).encode()

    def check(self, head: bytes, start: int, end: int) -> None:
        """Raise ConnectionError unless the header block promises exactly ``[start, end)`` of the object."""
        expected = f"content-range: bytes {start}-{end - 1}/{self.size_bytes}".encode()
        if not head.startswith(b"HTTP/1.1 206 ") or expected not in head.lower().split(b"\r\n"):
            raise ConnectionError(f"not the range that was asked for: {head[:200]!r}")


class Receiver(asyncio.BufferedProtocol, ABC):
    """Receives one reply at a time; the header block apart, the body where the landing wants it."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.head = memoryview(bytearray(HEAD_LIMIT_BYTES))
        self.head_bytes = 0
        self.in_body = False
        self.start = self.at = self.end = 0
        self.done: asyncio.Future[None] | None = None

    @abstractmethod
    def open_part(self) -> None:
        """Prepare the landing of ``[start, end)``."""

    @abstractmethod
    def body_buffer(self) -> memoryview:
        """Return where the bytes from ``at`` on shall be received."""

    @abstractmethod
    def land(self, count: int) -> None:
        """Put the first ``count`` bytes of the body buffer into the file, unless they are there already."""

    @abstractmethod
    def close_part(self) -> None:
        """Let go of the landing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport to write requests to."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the part under way, if there is one."""
        if self.done is not None and not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the rest of the header buffer, or the landing's buffer in the body."""
        return self.body_buffer() if self.in_body else self.head[self.head_bytes :]

    def buffer_updated(self, count: int) -> None:
        """Account for ``count`` bytes that are in the buffer given last."""
        if not self.in_body:
            self.head_bytes += count
            head, blank_line, _ = bytes(self.head[: self.head_bytes]).partition(b"\r\n\r\n")
            if not blank_line:
                return
            self.job.check(head, self.start, self.end)
            early = self.head[len(head) + len(blank_line) : self.head_bytes]
            count = len(early)
            self.body_buffer()[:count] = early
            self.in_body, self.head_bytes = True, 0
        self.land(count)
        self.at += count
        if self.at == self.end and self.done is not None:
            self.in_body = False
            self.done.set_result(None)

    async def fetch_parts(self) -> None:
        """Fetch parts over this connection until none is left."""
        while (span := self.job.take_span()) is not None:
            self.start, self.end = span
            self.at = self.start
            self.open_part()
            self.done = asyncio.get_running_loop().create_future()
            self.transport.write(self.job.request(*span))
            await self.done
            self.close_part()


class WrittenReceiver(Receiver):
    """Receives into the hot buffer that all connections of the process share, then writes.

    Sharing is safe: between ``get_buffer`` and ``buffer_updated`` the loop serves nobody else.
    """

    def __init__(self, job: Job, hot: memoryview) -> None:
        super().__init__(job)
        self.hot = hot

    def open_part(self) -> None:
        """Need nothing."""

    def body_buffer(self) -> memoryview:
        """Return the hot buffer, cut to what the part still lacks."""
        return self.hot[: self.end - self.at]

    def land(self, count: int) -> None:
        """Write from the hot buffer."""
        write_all(self.job.file, self.hot[:count], self.at)

    def close_part(self) -> None:
        """Need nothing."""


class MappedReceiver(Receiver):
    """Receives into the file's own pages, mapped and prefaulted one part at a time.

    MADV_HUGEPAGE is left out on purpose: asking for huge pages cost compaction stalls.
    """

    def open_part(self) -> None:
        """Map the part's window and fault all of it in with one call."""
        self.window = mmap.mmap(self.job.file, self.end - self.start, offset=self.start)
        self.window.madvise(MADV_POPULATE_WRITE)
        self.view = memoryview(self.window)

    def body_buffer(self) -> memoryview:
        """Return what the window still lacks."""
        return self.view[self.at - self.start :]

    def land(self, count: int) -> None:
        """Need nothing: the bytes were received where they belong."""

    def close_part(self) -> None:
        """Unmap the window."""
        self.view.release()
        self.window.close()


def write_all(file: int, source: memoryview, offset: int) -> None:
    """Write all of ``source`` at ``offset``; one pwrite may stop short."""
    written = 0
    while written < len(source):
        written += os.pwrite(file, source[written:], offset + written)


async def receive_with_protocol(job: Job, *, way: str, connections: int) -> None:
    """Fetch parts over several connections of one event loop."""
    hot = memoryview(bytearray(job.buffer_bytes))
    loop = asyncio.get_running_loop()

    async def connection() -> None:
        _, receiver = await loop.create_connection(
            lambda: WrittenReceiver(job, hot) if way == "written" else MappedReceiver(job),
            job.host,
            job.port,
        )
        await receiver.fetch_parts()

    await asyncio.gather(*(connection() for _ in range(connections)))


def receive_blocking(job: Job) -> None:
    """Fetch parts over one blocking socket: recv_into the hot buffer, then pwrite."""
    hot = memoryview(bytearray(job.buffer_bytes))
    with socket.create_connection((job.host, job.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while (span := job.take_span()) is not None:
            at, end = span
            sock.sendall(job.request(at, end))
            head, early = read_head(sock)
            job.check(head, at, end)
            write_all(job.file, memoryview(early), at)
            at += len(early)
            while at < end:
                count = sock.recv_into(hot[: end - at])
                if not count:
                    raise ConnectionError("the server closed the connection")
                write_all(job.file, hot[:count], at)
                at += count


def read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return a reply's header block without its blank line, and the body bytes that came along."""
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = sock.recv(HEAD_LIMIT_BYTES)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        received += chunk
    head, _, early = received.partition(b"\r\n\r\n")
    return head, early


def object_size_bytes(host: str, port: int, path: str) -> int:
    """Ask for the object's size with HEAD."""
    with socket.create_connection((host, port)) as sock:
        sock.sendall(f"HEAD {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        status, *fields = read_head(sock)[0].split(b"\r\n")
    lengths = [int(field.partition(b":")[2]) for field in fields if field.lower().startswith(b"content-length:")]
    if b" 200 " not in status or not lengths:
        raise ConnectionError(f"no size in the reply to HEAD: {status!r}")
    return lengths[0]


def start_process(job: Job, *, way: str, connections: int) -> int:
    """Fork a process that fetches parts until none is left; return its id.

    Forking is the cheapest start there is, and safe here: the parent has no thread and no open loop.
    """
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        if way == "blocking":
            receive_blocking(job)
        else:
            uvloop.run(receive_with_protocol(job, way=way, connections=connections))
        status = 0
    except (OSError, ValueError) as error:
        print(f"floor: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def ticket_pipe(parts: int) -> int:
    """Return the reading end of a pipe that holds every part number once, ready for all processes."""
    if parts > MAX_TICKETS:
        raise SystemExit(f"{parts} parts do not fit into a pipe; raise --part-mib")
    reading, writing = os.pipe()
    os.write(writing, b"".join(map(TICKET.pack, range(parts))))
    os.close(writing)
    return reading


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", metavar="URL", help="http://HOST:PORT/bucket/key")
    parser.add_argument("destination", metavar="DEST")
    parser.add_argument("--way", choices=("written", "mapped", "blocking"), default="written")
    parser.add_argument(
        "--processes",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="default: the cores",
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=4,
        help="a process; 'blocking' has 1 (default: 4)",
    )
    parser.add_argument("--part-mib", type=int, default=16, help="default: 16")
    parser.add_argument("--buffer-kib", type=int, default=1024, help="hot buffer (default: 1024)")
    return parser.parse_args()


def main() -> None:
    """Download once and print what it took."""
    arguments = parse_arguments()
    began_s = time.perf_counter()
    url = urlsplit(arguments.url)
    host, port = url.hostname or "127.0.0.1", url.port or 80
    size_bytes, part_size_bytes = (
        object_size_bytes(host, port, url.path),
        arguments.part_mib << 20,
    )
    file = os.open(arguments.destination, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    if size_bytes:
        os.posix_fallocate(file, 0, size_bytes)
    job = Job(
        host=host,
        port=port,
        path=url.path,
        size_bytes=size_bytes,
        part_size_bytes=part_size_bytes,
        buffer_bytes=arguments.buffer_kib << 10,
        file=file,
        tickets=ticket_pipe(-(-size_bytes // part_size_bytes)),
    )
    processes = [
        start_process(job, way=arguments.way, connections=arguments.connections) for _ in range(arguments.processes)
    ]
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in processes)
    wall_s = time.perf_counter() - began_s
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = {
        "way": arguments.way,
        "processes": arguments.processes,
        "size_bytes": size_bytes,
        "wall_s": round(wall_s, 3),
        "gb_per_s": round(size_bytes / wall_s / 1e9, 3),
        "user_s": round(used.ru_utime, 3),
        "system_s": round(used.ru_stime, 3),
        "failed_processes": failed,
    }
    print(json.dumps(report))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
