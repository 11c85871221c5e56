"""What a report says of a result, in whatever form: its sentences and its numbers."""

from __future__ import annotations

import re

import msgspec
import pytest

from bulkhaul.benchmark.report import markdown
from bulkhaul.benchmark.results import (
    ConnectionRate,
    FailureCount,
    Latencies,
    Limit,
    ProcessUse,
    Result,
    Steady,
    Window,
)
from bulkhaul.model.limits import MIB
from tests.unit.benchmark.made_up import made_latencies, made_measured, made_result, small_run


def words(result: Result) -> str:
    """Return all words of a report; Markdown has them all, and draws nothing."""
    return " ".join(re.sub(r"\\(.)|\|", r"\1", markdown(result)).replace("**", "").split())


def test_runs_that_differ_are_told_apart() -> None:
    """Where runs were limited by different things, each sentence names its runs."""
    other = Limit("disk", "limited by the disk.", {"writing to the disk": 1.0})
    text = words(made_result(small_run(1), small_run(2, limit=other), small_run(3)))
    assert "Runs 1, 3: Limited by the store's" in text
    assert "Run 2: Limited by the disk." in text


def test_the_numbers_are_those_of_the_result() -> None:
    """Rates, latencies, failures, connections, floors, settings and the machine stand there as they are."""
    latencies = Latencies(200, 12.5, 11.0, 22.0, 33.0, 44.0, 55.0, made_latencies(10.0, 200, 1).histogram)
    measured = msgspec.structs.replace(
        made_measured("get", 3, 200, 1), done=200, failed=7, moved_bytes=200 << 20, whole=latencies
    )
    run = small_run(1, requests_per_s=4321.4, bytes_per_s=1234.5 * 2**20, measured=(measured,), retransmits=98)
    text = words(made_result(run))
    for told in ("4,321", "1,234", "7 (3.38 %)", "1 to 16 MiB", "sent 98 TCP segments again", "4.1 ms", "7.9 ms"):
        assert told in text
    for told in (
        "52 MiB/s",
        "1,180 MiB/s",
        "lognormal:1MiB,σ=1.5",
        "1,200 below 4 prefixes",
        "Example CPU",
        "GET 70 %",
    ):
        assert told in text
    # The steady part is of 2.5 s: 200 requests, and 1 MiB in each.
    assert "GET 1 to 16 MiB 200 7 80 80 1.0 MiB" in text
    assert "s3://bucket/benchmarks/ at https://s3.eu-central-1.example.com" in text


def test_connections_are_compared_by_what_they_moved_while_they_were_busy() -> None:
    """Bytes a second of the seconds with a request, requests where nothing was moved; an idle one has no rate."""
    lanes = [ConnectionRate(0, at, 8, at * 10 * MIB, 2.0) for at in (3, 1, 5, 2, 4)] + [ConnectionRate(0, 6, 0, 0, 0.0)]
    assert "1 5 MiB/s 5 5 15 25 25" in words(made_result(small_run(connections=tuple(lanes))))
    lanes = [ConnectionRate(0, at, at * 10, 0, 2.0) for at in (3, 1, 5, 2, 4)]
    assert "1 5 requests/s 5 5 15 25 25" in words(made_result(small_run(connections=tuple(lanes))))


@pytest.mark.parametrize("open_loop", [False, True], ids=["closed", "open"])
def test_the_loop_is_said(open_loop: bool) -> None:
    """The page says from when latencies count, and whether a slow service could hide (coordinated omission)."""
    text = words(made_result(small_run(), open_loop=open_loop))
    assert ("Open loop: requests were due by a schedule" in text) is open_loop
    assert ("Closed loop: each connection asked again only when it had its reply" in text) is not open_loop
    assert "coordinated omission" in text
    assert f"counts from {'the instant at which it was due' if open_loop else 'its beginning'}" in text


def test_a_run_that_was_never_steady_is_said() -> None:
    """Which runs never became steady or were ended early stands at the top, and in their row."""
    never = small_run(2, interrupted=True)
    never = msgspec.structs.replace(never, steady=msgspec.structs.replace(never.steady, reached=False))
    text = words(made_result(small_run(1), never))
    assert "Throughput never became steady in run 2" in text
    assert "Run 2 ended early" in text
    assert "2, interrupted never steady" in text
    text = words(made_result(small_run(1)))
    assert "never" not in text
    assert "from 2.5 to 5 s" in text


def test_a_number_of_connections_that_nobody_chose_is_told() -> None:
    """What was asked for has the number that the program took, and that it did."""
    assert "Requests in flight at most 1,024, chosen by the program" in words(
        made_result(small_run(1, concurrency=1024))
    )


def test_requests_that_were_never_begun_are_told() -> None:
    """They are in no latency and no rate, so the report says how many there were, in all runs together."""
    runs = (small_run(1, never_begun=1000), small_run(2, never_begun=7))
    assert "Due, and never begun before the time was over: 1,007 requests." in words(made_result(*runs, open_loop=True))


def test_all_of_a_replay_counts() -> None:
    """A log says what is due when: nothing is called steady or not."""
    run = small_run(1)
    text = words(made_result(msgspec.structs.replace(run, steady=Steady(0.0, 5.0, reached=True, replayed=True))))
    assert "1 all of it" in text
    assert "in all of the run" in text
    assert "steady from" not in text
    assert "never" not in text


def test_what_is_left_of_a_second_is_no_second() -> None:
    """A last window of 10 ms, in which no request ended, is no drop to 0: it is drawn with the second before it."""
    run = small_run(1)
    rest = Window(5.0, 0.01, {}, {}, 0, 0.0, 0.0, 0.0, 0.0, 0, 0)
    text = words(made_result(msgspec.structs.replace(run, windows=(*run.windows, rest))))
    told = re.findall(r"GET: median [\d.,]+, from ([\d.,]+) to", text)
    assert len(told) == 2  # bytes, and requests
    assert all(float(least.replace(",", "")) > 10 for least in told)


def test_a_process_that_waits_for_a_cpu_is_told() -> None:
    """What a process could have done, had it had a CPU, stands beside what it did."""
    use = ProcessUse("worker 0", 0.5, 9.0, starved=0.25)
    assert "1 worker 0 50 % 25 % 9 ms" in words(made_result(small_run(1, processes=(use,))))


def test_failures_are_ranked_and_added_up() -> None:
    """Failures of the same kind in several runs are one row, the most frequent kind comes first."""
    busy, gone = FailureCount("Throttled", 503, 5, "SlowDown"), FailureCount("NotFound", 404, 8, "NoSuchKey")
    text = words(made_result(small_run(1, failures=(busy, gone)), small_run(2, failures=(busy,))))
    assert "Throttled 503 10 1, 2 SlowDown NotFound 404 8 1 NoSuchKey" in text
    assert "No request failed." in words(made_result(small_run(failures=())))
