"""Before a distant server, workers report more often than with their heartbeats, but only while the window starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.distant_server.launch import DistantServer, distant_server

from bulkhaul.engine.messages.messages import Report
from bulkhaul.engine.pool.dispatcher import Dispatcher
from tests.engines import running_engine

MIB = 1 << 20


@pytest.fixture(scope="module")
def server() -> Iterator[DistantServer]:
    """A server 30 ms away that has one object, of which a connection brings 2 MB a second."""
    with distant_server(["--objects", "1x24MiB", "--latency-ms", "30", "--rate", "2"]) as running:
        yield running


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Report, bool]]:
    """Return the reports of workers from now on, each with whether the window was starting then."""
    seen: list[tuple[Report, bool]] = []
    kept = Dispatcher._report

    def report(self: Dispatcher, worker: int, message: Report) -> None:
        seen.append((message, self.machine.window.starting))
        kept(self, worker, message)

    monkeypatch.setattr(Dispatcher, "_report", report)
    return seen


def between_heartbeats(reports: list[tuple[Report, bool]], *, starting: bool) -> int:
    """Return how many reports told how far leases are without being a heartbeat, which alone has a load."""
    return sum(bool(report.reached) and report.load is None for report, then in reports if then is starting)


def test_a_start_is_watched_closely(server: DistantServer, reports: list[tuple[Report, bool]], tmp_path: Path) -> None:
    """Twelve parts of a second each are too few to end the start, and it is told of often until they are there."""
    with running_engine(server.endpoint, part_size_bytes=2 * MIB) as engine:
        engine.download("s3://bench/1x24MiB/00000000.bin", str(tmp_path / "found"))
    assert between_heartbeats(reports, starting=True) >= 1


def test_a_size_that_is_held_is_not(server: DistantServer, reports: list[tuple[Report, bool]], tmp_path: Path) -> None:
    """With two in flight at most, the start is over at once: from then on there are heartbeats, and ends of parts."""
    with running_engine(server.endpoint, part_size_bytes=2 * MIB, concurrency=2) as engine:
        engine.download("s3://bench/1x24MiB/00000000.bin", str(tmp_path / "found"))
    assert sum(report.load is not None and bool(report.reached) for report, then in reports if not then) >= 1
    assert between_heartbeats(reports, starting=False) <= 4, "but for what was on its way when it ended"
