"""Floors are had within seconds, however long the objects are or slow the disk, and a signal waits for none."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bulkhaul import AsyncEngine
from bulkhaul.benchmark.disk_floor import MOST_S, disk_floor
from bulkhaul.benchmark.floors import probe, probe_url
from bulkhaul.benchmark.records import Record
from bulkhaul.benchmark.results import Floors
from bulkhaul.model.limits import GIB, KIB
from bulkhaul.model.settings import Settings
from bulkhaul.model.workloads import FixedSize, ObjectTable

RATE = 1e6
STEP = 16 * KIB


class _LongObject(BaseHTTPRequestHandler):
    """Answers each GET with a GiB, at 1 MB/s."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send until the client leaves."""
        self.send_response(200)
        self.send_header("Content-Length", str(GIB))
        self.end_headers()
        began_s = time.monotonic()
        with contextlib.suppress(OSError):
            for number in range(GIB // STEP):
                time.sleep(max(0.0, began_s + (number + 1) * STEP / RATE - time.monotonic()))
                self.wfile.write(bytes(STEP))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as are opened."""

    request_queue_size = 64
    daemon_threads = True


@pytest.fixture
def long_object() -> Iterator[str]:
    """The endpoint of a server whose objects take a quarter of an hour."""
    with _Server(("127.0.0.1", 0), _LongObject) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(params=["takes connections", "speaks no TLS", "takes no connection"])
def silent(request: pytest.FixtureRequest) -> Iterator[str]:
    """The endpoint of a server that never says a word."""
    scheme = "https" if request.param == "speaks no TLS" else "http"
    with contextlib.ExitStack() as stack:
        full = request.param == "takes no connection"
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0 if full else 8))
        for _ in range(2 if full else 0):  # Linux queues one more than the backlog, and drops what comes then
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"{scheme}://127.0.0.1:{server.getsockname()[1]}"


async def probed(endpoint: str, folder: str = "") -> Floors | str:
    """Return the floors of an object of a GiB."""
    record = Record(endpoint, "bucket", "some/", ObjectTable(1, FixedSize(GIB)), "1GiB", GIB, prepared=True, made_s=0)
    async with AsyncEngine(endpoint_url=endpoint, region="us-east-1", sign_requests=False) as engine:
        return await probe(engine, record, folder)


def test_a_part_of_a_long_object_tells_the_rate(long_object: str) -> None:
    """It is that of the server, of one connection and of eight; reading whole objects would take an hour.

    A disk that cannot be written to takes nothing of it away.
    """
    began_s = time.monotonic()
    floors = asyncio.run(probed(long_object, "/proc/self"))
    assert time.monotonic() - began_s < 60
    assert isinstance(floors, Floors)
    assert floors.connection_bytes_per_s == pytest.approx(RATE, rel=0.1)
    assert floors.sockets_bytes_per_s == pytest.approx(8 * RATE, rel=0.2)
    assert (floors.disk_bytes_per_s, floors.no_disk) == (0, os.strerror(errno.ENOENT))


def test_a_slow_disk_tells_its_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is written before a flush takes its time; 64 MiB would take a minute."""

    def flush(fd: int) -> None:
        time.sleep(os.fstat(fd).st_size / RATE)

    monkeypatch.setattr(os, "fdatasync", flush)
    began_s = time.monotonic()
    rate, why_not = asyncio.run(disk_floor(str(tmp_path)))
    assert time.monotonic() - began_s < MOST_S
    assert rate == pytest.approx(RATE, rel=0.2)
    assert not why_not


def test_a_disk_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and nothing waits for the thread."""
    monkeypatch.setattr("bulkhaul.benchmark.disk_floor.MOST_S", 0.5)
    released = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _fd: released.wait())
    rate, why_not = asyncio.run(disk_floor(str(tmp_path)))
    released.set()
    assert (rate, why_not) == (0, "it did not take 64 KiB within 0.5 s")


def test_an_interruption_ends_it_at_once(silent: str) -> None:
    """Nothing waits for the thread that waits for a connection, a handshake or a reply."""

    async def interrupted() -> float:
        probing = asyncio.create_task(probe_url(f"{silent}/bucket/key?", Settings(), ""))
        await asyncio.sleep(0.5)
        assert not probing.done()
        began_s = time.monotonic()
        probing.cancel()
        await asyncio.wait({probing})
        assert probing.cancelled()
        return began_s

    began_s = asyncio.run(interrupted())  # its end waits for threads
    assert time.monotonic() - began_s < 8, "a socket gives up after 15 s"
