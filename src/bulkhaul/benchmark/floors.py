"""Probes what an endpoint and a disk give at best, by nothing but sockets and writes: what results are held against."""

from __future__ import annotations

import asyncio
import http.client
import os
import ssl
import statistics
import tempfile
import threading
import time
from urllib.parse import urlsplit

from bulkhaul.benchmark.place import Record
from bulkhaul.benchmark.results import Floors
from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.limits import KIB, MIB
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.policy.benchmark_keys import table_key
from bulkhaul.policy.object_sizes import size_of
from bulkhaul.wire.tls import client_context

ASKED = 11
"""GETs whose median is the time to the first byte."""

LOOKED_AT = 64
"""Objects among which the largest is taken."""

TELLING_BYTES = MIB
"""A shorter body does not tell the rate of a connection: its first packets bring most of it."""

PROBE_S = 1.5
"""How long rates are probed."""

SOCKETS = 8

TIMEOUT_S = 15.0

DISK_BYTES = 64 * MIB


class _Probe:
    """GETs of presigned URLs by the standard library's client, over one connection."""

    def __init__(self, url: str, settings: Settings) -> None:
        parts = urlsplit(url)
        self._path = f"{parts.path}?{parts.query}"
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "https":
            ca = settings.ca_bundle or os.environ.get("AWS_CA_BUNDLE") or None
            context = client_context(ca, verify=True) if settings.verify_tls else _unverified()
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def connect(self) -> float:
        """Connect, and return the seconds that it took."""
        began_s = time.perf_counter()
        self._connection.connect()
        return time.perf_counter() - began_s

    def get(self, scratch: memoryview) -> tuple[float, float, int]:
        """Return (seconds to the head of the reply, seconds of the body, its bytes).

        Raises:
            OSError: the service does not answer this with 200.
        """
        began_s = time.perf_counter()
        self._connection.request("GET", self._path)
        reply = self._connection.getresponse()
        first_s = time.perf_counter()
        moved = 0
        while count := reply.readinto(scratch):
            moved += count
        if reply.status != 200:
            raise OSError(f"HTTP {reply.status} to a presigned GET")
        return first_s - began_s, time.perf_counter() - first_s, moved

    def close(self) -> None:
        self._connection.close()


async def probe(engine: AsyncEngine, record: Record, folder: str) -> Floors | str:
    """Return the floors of a service, from a prepared object, or why they cannot be had.

    Args:
        folder: where bodies are written; empty if they are thrown away.
    """
    table = record.table
    looked = range(min(table.objects, LOOKED_AT))
    place = max(looked, key=lambda one: size_of(table.sizes, table.seed, one), default=-1)
    if place < 0:
        return "no object is prepared"
    ref = ObjectRef(record.bucket, table_key(record.prefix, table, place))
    url = await engine.presigned_url(ref) if engine.settings.sign_requests else ""
    if not url:
        target = await engine.control.target(record.bucket)
        url = target.url(ref.key)
    try:
        return await asyncio.to_thread(_probed, url, engine.settings, folder)
    except (OSError, http.client.HTTPException) as error:
        return f"the endpoint cannot be probed by plain sockets: {error}"


def _probed(url: str, settings: Settings, folder: str) -> Floors:
    scratch = memoryview(bytearray(256 * KIB))
    connects: list[float] = []
    firsts: list[float] = []
    rates: list[float] = []
    for _ in range(3):
        probe = _Probe(url, settings)
        connects.append(probe.connect())
        probe.close()
    probe = _Probe(url, settings)
    probe.connect()
    ends_s = time.perf_counter() + PROBE_S
    while (len(firsts) < ASKED and time.perf_counter() < ends_s) or len(firsts) < 3:
        first_s, body_s, moved = probe.get(scratch)
        firsts.append(first_s)
        if moved >= TELLING_BYTES and body_s > 0:
            rates.append(moved / body_s)
    probe.close()
    return Floors(
        connect_ms=round(1000 * statistics.median(connects), 3),
        first_byte_ms=round(1000 * statistics.median(firsts), 3),
        connection_bytes_per_s=round(statistics.median(rates)) if rates else 0,
        sockets_bytes_per_s=_together(url, settings) if rates else 0,
        sockets=SOCKETS,
        disk_bytes_per_s=_disk_rate(folder) if folder and os.path.isdir(folder) else 0,
    )


def _together(url: str, settings: Settings) -> int:
    """Return bytes a second of several connections at once."""
    moved = [0] * SOCKETS
    began_s = time.perf_counter()
    ends_s = began_s + PROBE_S

    def fetch(number: int) -> None:
        scratch = memoryview(bytearray(256 * KIB))
        probe = _Probe(url, settings)
        try:
            while time.perf_counter() < ends_s:
                moved[number] += probe.get(scratch)[2]
        except (OSError, http.client.HTTPException):
            return  # what it has moved counts
        finally:
            probe.close()

    threads = [threading.Thread(target=fetch, args=(number,), daemon=True) for number in range(SOCKETS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(moved) / (time.perf_counter() - began_s))


def _disk_rate(folder: str) -> int:
    """Return bytes a second of writes that the disk has, alone."""
    data = os.urandom(MIB)
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        began_s = time.perf_counter()
        for _ in range(DISK_BYTES // MIB):
            file.write(data)
        os.fdatasync(file.fileno())
        return round(DISK_BYTES / (time.perf_counter() - began_s))


def _unverified() -> ssl.SSLContext:
    return client_context(None, verify=False)
