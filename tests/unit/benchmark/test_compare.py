"""What is said of two results: faster, slower, or that nobody can tell."""

from __future__ import annotations

import math
import random

import msgspec
import numpy as np
import pytest

from bulkhaul.benchmark.compare import Comparison, Metric, compare
from bulkhaul.benchmark.compare_lines import lines
from bulkhaul.benchmark.latencies import histogram, latencies, record
from bulkhaul.benchmark.results import Measured
from bulkhaul.model.errors import UsageError
from bulkhaul.model.workloads import Workload
from bulkhaul.policy.differences import paired_interval, parse_threshold, ratio_interval
from tests.unit.benchmark.compared import gets, measured, result, run, window

MIB = 1 << 20


def metric(comparison: Comparison, name: str) -> Metric:
    """Return one metric of the only pair."""
    return next(one for one in comparison.pairs[0].metrics if one.name == name)


def alarm(comparison: Comparison) -> bool:
    """Whether anything is said to differ."""
    return any(one.word in ("faster", "slower") for pair in comparison.pairs for one in pair.metrics)


class TestPromise:
    """How often a comparison is right, on results whose difference is known."""

    @pytest.mark.parametrize(
        ("repeats", "noise"), [((3, 3), 0.03), ((5, 5), 0.03), ((10, 10), 0.05), ((3, 10), 0.2), ((1, 5), 0.05)]
    )
    def test_no_false_alarm_in_95_of_100_pairs(self, repeats: tuple[int, int], noise: float) -> None:
        """Of pairs without a difference at most 5 of 100 have any metric that is said to differ."""
        chance = random.Random(str((repeats, noise)))
        pairs = 300
        alarms = sum(
            alarm(compare([gets(repeats[0], chance, noise=noise), gets(repeats[1], chance, noise=noise)], "AB"))
            for _ in range(pairs)
        )
        assert alarms <= pairs * 0.05

    @pytest.mark.parametrize("noise", [0.03, 0.04, 0.05])
    def test_finds_ten_percent_with_ten_repeats(self, noise: float) -> None:
        """A loss of 10 % is found, and called a regression, with ten repeats that scatter by 3 to 5 %."""
        chance = random.Random(str(noise))
        pairs = 200
        found = 0
        for _ in range(pairs):
            compared = compare([gets(10, chance, noise=noise), gets(10, chance, noise=noise, slower=0.1)], "AB")
            found += metric(compared, "throughput").regression
        assert found >= pairs * (0.95 if noise < 0.05 else 0.85)

    @pytest.mark.parametrize("repeats", [3, 5, 10])
    def test_one_interval_holds_as_often_as_it_says(self, repeats: int) -> None:
        """An interval of 95 % holds the true ratio in 93 to 98.5 of 100 cases: it is neither too narrow nor idle."""
        chance = random.Random(repeats)
        cases = 1500
        held = 0
        for _ in range(cases):
            a = [chance.lognormvariate(0, 0.05) for _ in range(repeats)]
            b = [1.1 * chance.lognormvariate(0, 0.05) for _ in range(repeats)]
            interval = ratio_interval(a, b, 0.95)
            assert interval is not None
            held += interval.low <= 1.1 <= interval.high
        assert 0.93 <= held / cases <= 0.985

    def test_agrees_with_a_worked_example(self) -> None:
        """The interval is Welch's: of two samples that were worked out by hand."""
        # Logarithms 0, 0.1, 0.2 and 0.3, 0.5, 0.7: means 0.1 and 0.5, variances 0.01 and 0.04; error² = 0.05/3,
        # freedom = (0.05/3)² / ((0.01/3)²/2 + (0.04/3)²/2) = 2.941; t(0.975, 2.941) = 3.219 from tables between
        # t(2) = 4.303 and t(3) = 3.182.
        interval = ratio_interval([math.exp(x) for x in (0, 0.1, 0.2)], [math.exp(x) for x in (0.3, 0.5, 0.7)], 0.95)
        assert interval is not None
        assert math.log(interval.ratio) == pytest.approx(0.4)
        assert math.log(interval.high) - 0.4 == pytest.approx(3.219 * math.sqrt(0.05 / 3), rel=0.005)
        assert 0.4 - math.log(interval.low) == pytest.approx(math.log(interval.high) - 0.4)

    def test_pairs_agree_with_a_worked_example(self) -> None:
        """Of pairs the interval is Student's of their ratios, and what disturbs both of a pair does not widen it."""
        # Logarithms of the ratios 0.1, 0.2, 0.3: mean 0.2, deviation 0.1; t(0.975, 2) = 4.303 from tables.
        base = [1.0, 100.0, 0.01]
        other = [value * math.exp(x) for value, x in zip(base, (0.1, 0.2, 0.3), strict=True)]
        interval = paired_interval(base, other, 0.95)
        assert interval is not None
        reach = 4.303 * 0.1 / math.sqrt(3)
        assert [math.log(value) for value in (interval.low, interval.ratio, interval.high)] == pytest.approx(
            [0.2 - reach, 0.2, 0.2 + reach], rel=0.001
        )

    def test_one_pair_has_no_interval(self) -> None:
        """Of a single pair nothing tells how far others lie."""
        assert paired_interval([1.0], [2.0], 0.95) is None


class TestWords:
    """What is said of each metric."""

    def test_less_time_is_faster_and_more_throughput_is_faster(self) -> None:
        """Times are better when they are less, throughput when it is more."""
        base = result([run(at, 1e9 + at, [measured("get", (20, 60 + at / 10), (8, 30))]) for at in range(3)])
        other = result([run(at, 2e9 + at, [measured("get", (10, 90 + at / 10), (8, 30))]) for at in range(3)])
        compared = compare([base, other], ["A", "B"])
        words = {one.name: one.word for one in compared.pairs[0].metrics}
        assert words == {
            "throughput": "faster",
            "get, first byte, p50": "no difference",
            "get, first byte, p99": "no difference",
            "get, whole request, p50": "faster",
            "get, whole request, p99": "slower",
        }
        assert metric(compared, "throughput").ratio == pytest.approx(2)
        assert compared.regression

    def test_a_loss_within_the_threshold_is_no_regression(self) -> None:
        """A metric that is slower by less than the threshold is called slower, and is no regression."""
        base, other = (result([run(at, rate + at, []) for at in range(3)]) for rate in (1e9, 0.96e9))
        small, large = (compare([base, other], "AB", threshold=share) for share in (0.05, 0.03))
        assert (metric(small, "throughput").word, small.regression) == ("slower", False)
        assert (metric(large, "throughput").word, large.regression) == ("slower", True)
        none = compare([base, other], "AB", threshold=None)
        assert (metric(none, "throughput").word, none.regression) == ("slower", False)
        assert "B is slower: throughput is worse by 4.0 %." in list(lines(none))

    def test_operations_without_bytes_are_compared_by_requests(self) -> None:
        """Where nothing moves, throughput is requests a second."""
        base, other = (result([run(1, 0, []), run(2, 0, [])], Workload(mix={"stat": 1})) for _ in range(2))
        assert metric(compare([base, other], "AB"), "throughput").unit == "requests/s"

    def test_sizes_of_an_operation_are_taken_together(self) -> None:
        """Percentiles of an operation are those of all its sizes: of 90 of 1 ms and 10 of 100 ms, p99 is 100 ms."""

        def of(took_ms: float, count: int, size_class: int) -> Measured:
            counted = histogram()
            record(counted, np.full(count, took_ms * 1e6, dtype=np.int64))
            return msgspec.structs.replace(
                measured("stat", (1, 1), None), size_class=size_class, whole=latencies(counted), done=count
            )

        mixed = result([run(at, 0, [of(1, 90, 0), of(100, 10, 3)]) for at in range(2)], Workload(mix={"stat": 1}))
        compared = compare([mixed, mixed], "AB")
        assert metric(compared, "stat, whole request, p50").base == pytest.approx(1, rel=0.01)
        assert metric(compared, "stat, whole request, p99").base == pytest.approx(100, rel=0.01)

    def test_a_metric_that_a_run_lacks_is_told(self) -> None:
        """An operation that one run never came to is left out, and a note says so."""
        both = [measured("get", (20, 60), (8, 30)), measured("delete", (5, 9), None)]
        base = result([run(1, 1e9, both), run(2, 1e9, both)])
        other = result([run(1, 1e9, both), run(2, 1e9, both[:1])])
        pair = compare([base, other], "AB").pairs[0]
        assert "delete, whole request, p50" not in {one.name for one in pair.metrics}
        assert any(note.startswith("delete, whole request, p50: not compared") for note in pair.notes)


class TestOneRunASide:
    """Results that were never repeated."""

    def test_parts_of_the_run_stand_for_repeats_and_it_says_so(self) -> None:
        """Throughput of one run against one is judged by parts of both, and a sentence says what that does not know."""
        chance = random.Random(5)

        def of(rate: float) -> list[object]:
            return [window(at, rate * chance.gauss(1, 0.05), 20, 60) for at in range(40)]

        base, other = (
            result([run(1, rate, [measured("get", (20, 60), (8, 30))], of(rate))])  # type: ignore[arg-type]
            for rate in (1e9, 0.8e9)
        )
        compared = compare([base, other], ["A", "B"])
        assert metric(compared, "throughput").word == "slower"
        assert metric(compared, "get, whole request, p50").word == "no difference"
        assert metric(compared, "get, first byte, p50").word == "unknown"  # windows do not tell it
        text = "\n".join(lines(compared))
        assert "one run a side: intervals follow from parts of these runs" in text
        assert "one run a side cannot tell" in text

    def test_only_the_steady_part_counts(self) -> None:
        """Windows before and behind the steady part are in no interval."""
        windows = [window(at, 1e9 if 5 <= at < 25 else 1e6, 20, 60) for at in range(30)]
        made = run(1, 1e9, [measured("get", (20, 60), (8, 30))], windows)
        steady = msgspec.structs.replace(made, steady=msgspec.structs.replace(made.steady, from_s=5, to_s=25))
        found = metric(compare([result([steady]), result([steady])], "AB"), "throughput")
        assert found.low == pytest.approx(1, abs=0.01)

    def test_runs_that_are_too_short_tell_nothing(self) -> None:
        """One run of a few seconds a side is no ground for any word."""
        base, other = (result([run(1, rate, [], [window(0, rate, 1, 1)])]) for rate in (1e9, 5e9))
        compared = compare([base, other], "AB")
        assert metric(compared, "throughput").word == "unknown"
        assert not compared.regression
        assert any("cannot tell whether there is a difference" in line for line in lines(compared))


class TestRefusal:
    """What must not be set side by side."""

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"mix": {"put": 1.0}}, "operations differ: get and put"),
            ({"mix": {"get": 70.0, "put": 30.0}}, "operations differ: get and get=70,put=30"),
            ({"size": "64KiB"}, "sizes differ: 1MiB and 64KiB"),
            ({"range": "64KiB"}, "ranges differ: whole objects and 64KiB"),
            ({"rate": 100.0}, "rates differ: as many as are answered and 100 requests/s"),
        ],
    )
    def test_refuses_what_was_not_asked_alike(self, fields: dict[str, object], told: str) -> None:
        """Results of other operations, sizes, ranges or rates are refused, and the message says why and the way out."""
        workload = msgspec.structs.replace(Workload(mix={"get": 1.0}), **fields)
        base, other = result([run(1, 1e9, [])]), result([run(1, 1e9, [])], workload)
        with pytest.raises(UsageError) as refused:
            compare([base, other], ["a.json", "b.json"])
        assert str(refused.value).startswith("b.json: it cannot be compared with a.json")
        assert told in str(refused.value)
        assert "--force" in str(refused.value)
        differences = compare([base, other], ["a.json", "b.json"], forced=True).pairs[0].differences
        assert f"not the same was asked: {told}" in differences

    def test_a_number_of_connections_may_be_what_is_compared(self) -> None:
        """Two numbers of connections that somebody chose are compared, and the first thing told is that they differ."""
        base, other = (
            result(
                [
                    msgspec.structs.replace(run(at, rate * (1 + at / 200), []), concurrency=connections)
                    for at in range(3)
                ],
                Workload(mix={"get": 1.0}, concurrency=connections),
                settings={"concurrency": str(connections)},
            )
            for connections, rate in ((16, 50 * MIB), (64, 90 * MIB))
        )
        compared = compare([base, other], "AB")
        assert metric(compared, "throughput").word == "faster"
        text = list(lines(compared))
        assert text[1:4] == [
            "What else differs, and may be the reason of what follows:",
            "  requests in flight: 16 and 64",
            "",
        ]

    @pytest.mark.parametrize("chosen", [(0, 0), (16, 0), (0, 64)])
    def test_numbers_that_nobody_chose_are_told_as_such(self, chosen: tuple[int, int]) -> None:
        """Where a benchmark found its number of connections itself, the way to leave the difference out is told."""
        base, other = (
            result(
                [msgspec.structs.replace(run(1, 1e9, []), concurrency=connections)],
                Workload(mix={"get": 1.0}, concurrency=given),
            )
            for given, connections in zip(chosen, (16, 64), strict=True)
        )
        (told,) = compare([base, other], "AB").pairs[0].differences
        assert told == "requests in flight: 16 and 64; nobody said how many: give both the same --concurrency"

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"objects": 7}, "objects: 1000 and 7"),
            ({"seed": 3}, "seed: 0 and 3"),
            ({"compressible": 4.0}, "compressible: 1.0 and 4.0"),
            ({"folder": "a folder"}, "bodies: thrown away and written to a folder"),
        ],
    )
    def test_other_objects_are_compared_and_told(self, fields: dict[str, object], told: str) -> None:
        """What is no other work is not refused, and told."""
        workload = msgspec.structs.replace(Workload(mix={"get": 1.0}), **fields)
        pair = compare([result([run(1, 1e9, [])]), result([run(1, 1e9, [])], workload)], "AB").pairs[0]
        assert pair.differences == (told,)

    def test_what_bodies_were_written_to_is_told(self) -> None:
        """A folder and a device are both written to, and not the same."""
        base, other = (
            result([run(1, 1e9, [])], Workload(mix={"get": 1.0}, folder=kind)) for kind in ("a folder", "/dev/null")
        )
        (told,) = compare([base, other], "AB").pairs[0].differences
        assert told == "bodies: written to a folder and written to /dev/null"

    def test_the_same_size_written_otherwise_is_the_same(self) -> None:
        """1MiB and 1024KiB, a mix of 1 and one of 100: the same was asked."""
        base = result([run(1, 1e9, [])])
        other = result([run(1, 1e9, [])], Workload(mix={"get": 100.0}, size="1024KiB"))
        assert compare([base, other], "AB").pairs

    def test_recorded_sizes_are_compared_by_what_was_moved(self) -> None:
        """An op-log says no size; it is comparable with a result whose requests moved as much, and with no other."""
        recorded = result(
            [run(1, 1e9, [measured("get", (20, 60), (8, 30))])], Workload(mix={"get": 9.0}, size="recorded")
        )
        same = result([run(1, 1e9, [measured("get", (20, 60), (8, 30))])])
        twice = msgspec.structs.replace(same.runs[0].measured[0], moved_bytes=2000 * MIB)
        assert compare([recorded, same], "AB").pairs
        with pytest.raises(UsageError, match="get moves 1048576 and 2097152 bytes a request"):
            compare([recorded, result([run(1, 1e9, [twice])])], "AB")

    def test_needs_two_results_with_runs(self) -> None:
        """One result alone, and one without a run, are refused."""
        with pytest.raises(UsageError, match="two results"):
            compare([result([run(1, 1e9, [])])], "A")
        with pytest.raises(UsageError, match="B: there is no run"):
            compare([result([run(1, 1e9, [])]), result([])], "AB")


class TestForPeople:
    """The text and the JSON of a comparison."""

    def test_a_regression_is_said_in_a_sentence(self) -> None:
        """The table has each metric with its interval, and a sentence names what got worse by how much."""
        base, other = (
            result([run(at, rate * (1 + at / 200), [measured("get", (20, 60), (8, 30))]) for at in range(3)])
            for rate in (100 * MIB, 80 * MIB)
        )
        text = list(lines(compare([base, other], ["base.json", "new.json"])))
        assert text[0] == "new.json against base.json, the base: 3 runs against 3 runs"
        row = next(line for line in text if line.startswith("throughput"))
        assert "100.5 MiB/s" in row
        assert "80.4 MiB/s" in row
        assert "0.800" in row
        assert row.endswith("slower: a regression")
        assert "Regression of more than 5 %: throughput is worse by 20.0 %." in text
        assert "All intervals hold together in 97.5 of 100 such comparisons." in text

    def test_what_casts_doubt_is_told(self) -> None:
        """Runs that were never steady or ended early and failed requests are noted; other machines are a difference."""
        failing = msgspec.structs.replace(measured("get", (20, 60), (8, 30)), failed=50)
        base = result([run(1, 1e9, [failing]), run(2, 1e9, [failing])], machine={"cpus": "2", "kernel": "6"})
        other = result(
            [run(1, 1e9, [failing], reached=False), run(2, 1e9, [failing], interrupted=True)],
            Workload(mix={"get": 1.0}, order="sequential"),
            machine={"cpus": "4", "kernel": "6"},
        )
        pair = compare([base, other], ["A", "B"]).pairs[0]
        notes, differences = pair.notes, pair.differences
        assert "B: never steady in run 1, so all of it counts, its warm-up too" in notes
        assert "B: run 2 was ended early" in notes
        assert "A: 4.8 % of the requests failed; they are in no time" in notes
        assert differences == ("order: random and sequential", "machine cpus: 2 and 4")

    def test_json_holds_what_the_table_shows(self) -> None:
        """A comparison is a value that JSON keeps whole."""
        chance = random.Random(1)
        compared = compare([gets(3, chance), gets(3, chance), gets(3, chance)], ["A", "B", "C"])
        assert [(pair.base, pair.other) for pair in compared.pairs] == [("A", "B"), ("A", "C")]
        assert msgspec.json.decode(msgspec.json.encode(compared), type=Comparison) == compared

    @pytest.mark.parametrize("text", ["", "x", "-1%", "101%", "nan"])
    def test_a_threshold_is_a_percentage(self, text: str) -> None:
        """What is no percentage is refused."""
        with pytest.raises(UsageError, match="no threshold"):
            parse_threshold(text)
