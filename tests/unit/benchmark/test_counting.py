"""Rows that workers recorded are counted in the second and the operation that they belong to, each once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from bulkhaul.benchmark.counting import Counts, count, limited_by
from bulkhaul.benchmark.results import Steady
from bulkhaul.benchmark.spools import Spool as Reader
from bulkhaul.benchmark.tally import Tally
from bulkhaul.engine.messages.load_run import FRAME, Meter
from bulkhaul.engine.worker.load_spool import Spool as Writer
from bulkhaul.model.errors import ErrorInfo

GET, PUT = 0, 1
S, MS = 1_000_000_000, 1_000_000
BEGINS = 5 * S


@pytest.fixture
def reader(tmp_path: object) -> Iterator[Reader]:
    """A spool, as the coordinator reads it."""
    spool = Reader(str(tmp_path), b"a schedule")
    yield spool
    spool.close()


def writer(reader: Reader) -> Writer:
    """Return the same spool, as a worker writes it."""
    os.lseek(reader.fd, 0, os.SEEK_END)
    return Writer(reader.fd, lambda info: info)


def row(spool: Writer, operation: int, ended_ms: int, took_ms: int, *, failure: int = 0, size: int = 100) -> None:
    """Record a request whose first byte came a millisecond before its end."""
    end = BEGINS + ended_ms * MS
    spool.row(
        operation, failure, 503 if failure else 0, 3, 0, 7, size, end - took_ms * MS, end - took_ms * MS, end - MS, end
    )


def meter(at_ms: int, cpu_s: float, disk_s: float = 0.0) -> Meter:
    """Return a meter."""
    return Meter(BEGINS + at_ms * MS, cpu_s, cpu_s / 10, 0.002, 4, 1, disk_s, 2, at_ms // 10, at_ms, 900)


def tallied(reader: Reader) -> Tally:
    """Return the tally of everything that is in the spool."""
    tally = Tally(BEGINS)
    for told in reader.new():
        if isinstance(told, Meter):
            tally.meter(0, told)
        else:
            tally.rows(told)
    return tally


def test_windows(reader: Reader) -> None:
    """A request counts in the second in which it ended; CPU and lag in the one of the meter."""
    spool = writer(reader)
    spool.meter(meter(0, 1.0))
    for ended_ms in (100, 200, 999):
        row(spool, GET, ended_ms, took_ms=10)
    row(spool, PUT, 1000, took_ms=40)
    row(spool, GET, 1500, took_ms=10, failure=spool.kind_of(ErrorInfo("Throttled", "slow down", status=503)))
    spool.meter(meter(900, 1.25))
    spool.meter(meter(1900, 1.75))
    tally = tallied(reader)
    first, second = tally.closed(all_of_them=True)
    assert (first.done, second.done) == ({"get": 3}, {"put": 1})
    assert (first.moved_bytes, second.moved_bytes) == ({"get": 300}, {"put": 100})
    assert (first.failed, second.failed) == (0, 1)
    assert first.p50_ms == pytest.approx(10, rel=0.02)
    assert second.p99_ms == pytest.approx(40, rel=0.02)
    assert (first.cpu, second.cpu) == (0.25, 0.5)
    assert (second.in_flight, second.waiting) == (4, 1)
    assert (tally.done, tally.failed, tally.moved_bytes) == (4, 1, 400)
    assert tally.retransmits == 190, "those of the last meter, which has all"


def test_a_frame_that_is_not_whole_waits(reader: Reader) -> None:
    """A worker that is killed in the middle of a frame loses that one alone."""
    spool = writer(reader)
    row(spool, GET, 10, took_ms=1)
    spool.flush()
    os.write(reader.fd, FRAME.pack(1, 5200) + b"half")
    assert tallied(reader).done == 1
    assert tallied(reader).done == 0, "nothing is counted twice"


def test_many_rows(reader: Reader) -> None:
    """More rows than are written or read at once are all counted."""
    spool = writer(reader)
    for number in range(200_000):
        row(spool, GET, number // 100, took_ms=1)
    spool.flush()
    tally = tallied(reader)
    assert tally.done == 200_000
    assert [window.done["get"] for window in tally.closed(all_of_them=True)] == [100_000, 100_000]


def test_only_the_steady_part_counts(reader: Reader) -> None:
    """What ended before or after it is in no histogram; failures are told of the whole run."""
    spool = writer(reader)
    failure = spool.kind_of(ErrorInfo("Throttled", "slow down", status=503, service_code="SlowDown"))
    spool.meter(meter(0, 1.0))
    row(spool, GET, 500, took_ms=400)
    row(spool, GET, 600, took_ms=400, failure=failure)
    for ended_ms in range(1000, 3000, 10):
        row(spool, GET, ended_ms, took_ms=20)
        row(spool, PUT, ended_ms, took_ms=50)
    row(spool, GET, 2500, took_ms=1, failure=failure)
    row(spool, GET, 3000, took_ms=400)
    spool.meter(meter(2000, 2.0, disk_s=0.2))
    spool.meter(meter(4000, 3.0, disk_s=0.4))
    part = Steady(1.0, 3.0, reached=True)
    counts = count([reader], BEGINS, part)
    get, put = counts.measured
    assert (get.operation, get.done, get.failed, get.moved_bytes) == ("get", 200, 1, 20_000)
    assert (put.operation, put.done, put.failed) == ("put", 200, 0)
    assert get.whole.max_ms == pytest.approx(20, rel=0.001)
    assert get.first_byte is not None
    assert get.first_byte.p50_ms == pytest.approx(19, rel=0.001)
    assert put.first_byte is None
    (failures,) = counts.failures
    assert (failures.code, failures.status, failures.count) == ("SlowDown", 503, 2)
    assert counts.throttled == {"503 SlowDown": 1}
    (process,) = counts.processes
    assert process.cpu == pytest.approx(0.5), "two CPU seconds in four seconds"
    assert process.starved == pytest.approx(0.05)
    assert process.mean_lag_ms == 2
    assert (counts.segments, counts.retransmits) == (2000, 200), "half of those in four seconds"
    assert counts.disk_s == pytest.approx(0.2), "half of what was written in four seconds"
    assert counts.disk_busy == pytest.approx(0.1)
    (connection,) = counts.connections
    assert (connection.lane, connection.requests, connection.moved_bytes) == (3, 401, 40_100)
    assert connection.busy_s == pytest.approx(200 * 0.02 + 200 * 0.05 + 0.001)
    # A GET waits for its first byte, and a PUT, whose bytes have left a millisecond before, for that long only.
    assert counts.waited_s == pytest.approx(200 * 0.019 + 200 * 0.001)
    assert counts.body_s == pytest.approx(200 * 0.001 + 200 * 0.049)
    found = limited_by(counts, [], part, None, rate=0.0, machine_cpu=0.0)
    assert found.name == "network"
    assert "10 % of the TCP segments" in found.sentence


@pytest.mark.parametrize(
    ("seconds", "queued_s", "limit"),
    [(10.0, 1.0, "rate asked for"), (20.0, 1.0, "rate not held"), (20.0, 0.0, "rate asked for")],
)
def test_a_replay_that_is_late_has_not_held_its_rate(seconds: float, queued_s: float, limit: str) -> None:
    """A log of 10 s whose requests waited for connections and took 20 s is late, though none waits at the end."""
    part = Steady(0.0, seconds, reached=True, replayed=True)
    counts = Counts(
        measured=(), connections=(), failures=(), processes=(), done=1000, failed=0, moved_bytes=0, throttled=Counter(),
        waited_s=1.0, body_s=1.0, queued_s=queued_s, disk_s=0.0, disk_busy=0.0,
        segments=0, retransmits=0,
    )  # fmt: skip
    assert limited_by(counts, [], part, None, 100.0, 0.0).name == limit


def test_what_a_worker_used_within_the_part_that_counts(reader: Reader) -> None:
    """Between two meters all grows evenly, and of those around the ends of the part only what is within it counts."""
    spool = writer(reader)
    for at_ms, cpu_s in ((0, 1.0), (500, 1.4), (1500, 2.4), (2500, 2.9), (4000, 5.9)):
        spool.meter(meter(at_ms, cpu_s, disk_s=cpu_s / 2))
    counts = count([reader], BEGINS, Steady(1.0, 3.0, reached=True))
    used_s = 0.5 * 1.0 + 0.5 + 3.0 / 3  # half of the second interval, all of the third, a third of the last
    assert counts.processes[0].cpu == pytest.approx(used_s / 2)
    assert counts.processes[0].starved == pytest.approx(used_s / 20)
    assert counts.disk_s == pytest.approx(used_s / 2)
