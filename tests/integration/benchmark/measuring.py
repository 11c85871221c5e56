"""Measures a server in a test, and asks the distant one what it counted.

Job: run a benchmark to its result, in silence. Must not know what it should have measured.
"""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest

from bulkhaul import AsyncEngine
from bulkhaul.benchmark.place import Cleaned, make_place
from bulkhaul.benchmark.results import Floors, Result, Run, Window
from bulkhaul.benchmark.running import Benchmark
from bulkhaul.benchmark.sessions import measure
from bulkhaul.benchmark.workload import table_of
from bulkhaul.model.errors import TransferError
from bulkhaul.model.workloads import Workload
from tests.servers.process import RunningServer

URL = "s3://bench/"

Counted = TypeVar("Counted")


class Silent:
    """Listens to a benchmark, and keeps what it was told of deletions."""

    def __init__(self) -> None:
        self.cleanings: list[Cleaned] = []
        self.failures: list[TransferError] = []
        self.windows: list[Window] = []

    async def began(self, what: str) -> None:
        """A step has begun."""

    async def tried(self, connections: int, requests_per_s: float) -> None:
        """A number of connections was tried."""

    async def window(self, number: int, window: Window) -> None:
        """A second of a run is over."""
        self.windows.append(window)

    async def ended(self, run: Run) -> None:
        """A run is over."""

    async def probed(self, floors: Floors | None, why_not: str) -> None:
        """The floors are known."""

    async def made(self, url: str) -> None:
        """Objects are deleted at the end."""

    async def kept(self, url: str) -> None:
        """Objects stay."""

    async def cleans_on(self) -> None:
        """It was interrupted."""

    async def cleaned(self, cleaned: Cleaned, url: str) -> None:
        """What the benchmark stored was deleted."""
        self.cleanings.append(cleaned)

    async def left(self, url: str, error: TransferError) -> None:
        """It could not be deleted."""
        self.failures.append(error)


async def unwritten(place: int, result: Result) -> None:
    """Take a result of each run, and write it nowhere."""


def measured(endpoint: str, workload: Workload, url: str = URL, **settings: Any) -> Result:
    """Return the result of a benchmark."""

    async def work() -> Result:
        async with AsyncEngine(endpoint_url=endpoint, region="us-east-1", **settings) as engine:
            (result,) = await measure(engine, [url], workload, "test", Silent(), unwritten)
            return result

    return asyncio.run(work())


def counted_run(endpoint: str, workload: Workload, look: Callable[[], Counted]) -> tuple[Run, Counted, Counted]:
    """Return a run alone, without what prepares it and cleans up, and what a server told before and after it."""

    async def work() -> tuple[Run, Counted, Counted]:
        async with AsyncEngine(endpoint_url=endpoint, region="us-east-1") as engine:
            record = await make_place(engine, "bench", "", table_of(workload), workload.size, prepared=False)
            benchmark = Benchmark(engine, record, workload)
            await benchmark.fill()
            before = await asyncio.to_thread(look)
            run = await benchmark.run(1)
            return run, before, await asyncio.to_thread(look)

    return asyncio.run(work())


def statistics(endpoint: str) -> dict[str, float]:
    """Return what the distant server has counted since its start."""
    with urllib.request.urlopen(f"{endpoint}/-/statistics", timeout=10) as reply:  # noqa: S310 - it is on this machine
        found: dict[str, float] = json.load(reply)
    return found


@contextmanager
def signed_as(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sign with the keys of a server."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    yield
