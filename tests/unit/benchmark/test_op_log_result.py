"""What an op-log says as a result."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bulkhaul.benchmark.compare import compare
from bulkhaul.benchmark.op_log import Op, write
from bulkhaul.benchmark.op_log_result import result_of
from bulkhaul.benchmark.results import RESULTS, written
from bulkhaul.model.errors import UsageError

BEGIN_NS = 1_767_323_045_000_000_000
MS = 1_000_000
MIB = 1 << 20


def op(
    name: str, start_ms: int, took_ms: int, *, size: int = MIB, thread: int = 0, error: str = "", first_ms: int = 0
) -> Op:
    """Return a request, by its beginning and its length."""
    start_ns = BEGIN_NS + start_ms * MS
    first_ns = start_ns + first_ms * MS if first_ms else 0
    end_ns = start_ns + took_ms * MS
    return Op(thread, name, "c", 1, size, "http://h:9000", "k", error, start_ns, first_ns, 0, end_ns)


def kept(folder: Path, ops: Iterator[Op] | list[Op], name: str = "log.csv.zst") -> Path:
    """Return the path of a log of requests."""
    write(folder / name, ops)
    return folder / name


def gets(seconds: int, took_ms: int, *, chance: random.Random | None = None, late_ms: int = 0) -> Iterator[Op]:
    """Yield GETs of one thread, one after another."""
    at_ms = late_ms
    while at_ms < late_ms + 1000 * seconds:
        length_ms = max(1, round(took_ms * (chance.gauss(1, 0.1) if chance else 1)))
        yield op("GET", at_ms, length_ms, first_ms=length_ms // 2 or 1)
        at_ms += length_ms


class TestResult:
    """Requests of a log, counted."""

    def test_percentiles_of_a_second(self, tmp_path: Path) -> None:
        """Of requests within a second 60 of 100 take 4 ms, 38 20 ms, and 2 90 ms: the median is 4 ms, and p99 90 ms."""
        ops = [op("STAT", at, took_ms) for at, took_ms in enumerate([4] * 60 + [20] * 38 + [90] * 2)]
        (window,) = result_of(kept(tmp_path, ops)).runs[0].windows
        assert window.p50_ms == pytest.approx(4, rel=0.012)
        assert window.p99_ms == pytest.approx(90, rel=0.012)

    def test_counts_requests_bytes_and_times(self, tmp_path: Path) -> None:
        """Ten seconds of GETs of 1 MiB that take 100 ms each are ten requests and 10 MiB a second, at p50 of 100 ms."""
        result = result_of(kept(tmp_path, gets(10, 100)))
        (run,) = result.runs
        (measured,) = run.measured
        assert (run.seconds, run.steady.reached, run.concurrency) == (10.0, True, 1)
        assert run.requests_per_s == pytest.approx(10, rel=0.02)
        assert run.bytes_per_s == pytest.approx(10 * MIB, rel=0.02)
        assert (measured.operation, measured.size_class, measured.failed) == ("get", 2, 0)
        assert measured.first_byte is not None
        assert measured.whole.p50_ms == pytest.approx(100, rel=0.001)
        assert measured.first_byte.p99_ms == pytest.approx(50, rel=0.001)
        assert [window.moved_bytes["get"] for window in run.windows[1:-1]] == [10 * MIB] * 8
        assert sum(window.done["get"] for window in run.windows) == 100
        assert run.windows[3].p50_ms == pytest.approx(100, rel=0.012)
        assert run.began == "2026-01-02T03:04:05Z"
        assert result.endpoint == "http://h:9000"

    def test_a_log_of_hours_has_longer_windows(self, tmp_path: Path) -> None:
        """Three hours are windows of four seconds, each request in the one in which it ended; steady from the first."""
        every_two_s = [op("GET", 2000 * at, 100) for at in range(5400)]
        (run,) = result_of(kept(tmp_path, every_two_s)).runs
        assert len(run.windows) == 2700
        assert {window.length_s for window in run.windows[:-1]} == {4.0}
        assert [window.at_s for window in run.windows[:3]] == [0.0, 4.0, 8.0]
        assert {window.done["get"] for window in run.windows} == {2}
        assert run.steady.reached
        assert run.requests_per_s == pytest.approx(0.5, rel=0.01)
        assert run.windows[9].p50_ms == pytest.approx(100, rel=0.012)

    def test_leaves_out_what_was_preparation(self, tmp_path: Path) -> None:
        """PUTs that were over before the GETs began are not counted, and the result says so."""
        puts = [op("PUT", at * 100, 100) for at in range(50)]
        result = result_of(kept(tmp_path, [*puts, *gets(10, 100, late_ms=6000)]))
        assert result.workload.mix == {"get": 100.0}
        assert result.settings == {"left out: PUT": "50 requests"}
        assert result.runs[0].seconds == 10.0
        assert result.runs[0].began == "2026-01-02T03:04:11Z"

    def test_operations_side_by_side_are_a_mix(self, tmp_path: Path) -> None:
        """What went on at the same time is one benchmark, with weights as they were."""
        puts = [op("PUT", at * 300, 300, thread=1) for at in range(33)]
        result = result_of(kept(tmp_path, [*puts, *gets(10, 100), op("APPEND", 0, 5)]))
        assert result.workload.mix == pytest.approx({"put": 100 * 33 / 133, "get": 100 * 100 / 133})
        assert {one.operation: one.done for one in result.runs[0].measured} == {"get": 100, "put": 33}
        assert result.settings == {"left out: APPEND": "1 requests"}
        assert result.runs[0].concurrency == 2

    def test_failures_are_in_no_time(self, tmp_path: Path) -> None:
        """A request with an error counts as failed, by its message, and neither its bytes nor its time count."""
        failed = [op("GET", at * 1000, 1, error="SlowDown: ask less") for at in range(10)]
        (run,) = result_of(kept(tmp_path, [*gets(10, 100), *failed])).runs
        assert [(one.code, one.count) for one in run.failures] == [("SlowDown", 10)]
        (measured,) = [one for one in run.measured if one.done]
        assert measured.whole.p50_ms == pytest.approx(100, rel=0.001)
        assert sum(one.failed for one in run.measured) == run.steady.to_s - run.steady.from_s  # one a second
        assert sum(window.failed for window in run.windows) == 10

    def test_only_the_steady_part_is_measured(self, tmp_path: Path) -> None:
        """A slow beginning is in the windows, and in neither rates nor times."""
        (run,) = result_of(kept(tmp_path, [*gets(5, 500), *gets(20, 50, late_ms=5000)])).runs
        assert run.steady.reached
        assert abs(run.steady.from_s - 5) <= 1
        assert run.requests_per_s == pytest.approx(20, rel=0.02)
        assert run.measured[0].whole.p99_ms == pytest.approx(50, rel=0.001)
        assert len(run.windows) == 25

    def test_a_log_of_seconds_was_never_steady(self, tmp_path: Path) -> None:
        """A log of three seconds counts as a whole, and says that it was never steady."""
        (run,) = result_of(kept(tmp_path, gets(3, 100))).runs
        assert (run.steady.reached, run.steady.from_s, run.steady.to_s) == (False, 0.0, 3.0)
        assert run.measured[0].done == 30

    def test_can_be_compared_and_written(self, tmp_path: Path) -> None:
        """A log against one that is a fifth slower: the loss is found, and the result is one as all are."""
        base, other = (
            result_of(kept(tmp_path, gets(30, took_ms, chance=random.Random(took_ms)), f"{took_ms}.csv.zst"))
            for took_ms in (40, 50)
        )
        compared = compare([base, other], ["40", "50"])
        assert compared.pairs[0].metrics[0].word == "slower"
        assert compared.regression
        assert RESULTS.decode(written(base)) == base

    def test_says_what_holds_nothing(self, tmp_path: Path) -> None:
        """A log without operations that are known, and one that spans weeks, are refused."""
        with pytest.raises(UsageError, match="holds no GET"):
            result_of(kept(tmp_path, [op("COMMIT", 0, 1)]))
        with pytest.raises(UsageError, match="more than a week"):
            result_of(kept(tmp_path, [op("GET", 0, 1), op("GET", 700_000_000, 1)]))
