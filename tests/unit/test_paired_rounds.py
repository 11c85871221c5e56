"""What the repository's own benchmarks say of a contestant's times by bulkhaul's, from rounds whose times are known."""

from __future__ import annotations

import io

import pytest
from bench.goals import Target, at_least, at_most, print_targets, wall_of_best
from bench.measure import Usage
from bench.tally import FOR_OBJECTS, Ratio, Tally, print_tally, tally
from rich.console import Console

DISTURBED = (1.0, 3.0, 2.0, 1.5, 5.0)
"""What each round's times are multiplied with: a machine that others use, too."""


def usage(wall_s: float, cpu_s: float = 1.0) -> Usage:
    """Return a run that took so long; a quarter of its CPU time is the system's."""
    return Usage(0, 0.0, wall_s, cpu_s * 0.75, cpu_s * 0.25, 0.0, 0, None, 0)


def runs(rounds: int = 5) -> dict[str, list[Usage]]:
    """Return rounds: s5cmd takes about 1.2 times as long as bulkhaul in each, rclone more here and less there."""
    slower, either = (1.19, 1.21, 1.20, 1.18, 1.22), (0.8, 1.3, 1.0, 0.9, 1.25)
    return {
        "bulkhaul": [usage(at, 2 * at) for at in DISTURBED[:rounds]],
        "s5cmd": [usage(at * by, 4 * at) for at, by in zip(DISTURBED, slower, strict=True)][:rounds],
        "rclone": [usage(at * by, 2 * at) for at, by in zip(DISTURBED, either, strict=True)][:rounds],
    }


@pytest.fixture
def rows() -> dict[str, Tally]:
    """The rows of five rounds, by contestant."""
    return {row.name: row for row in tally("task", runs(), {}, objects=100)}


def test_a_difference_within_the_rounds_is_shown_whatever_disturbs_all(rows: dict[str, Tally]) -> None:
    """A contestant that takes longer in every round is slower, though rounds differ by more than contestants."""
    found = rows["s5cmd"].wall_of_bulkhaul
    assert found is not None
    assert found.word == "slower"
    assert found.ratio == pytest.approx(1.2, rel=0.001)
    assert found.low is not None
    assert found.high is not None
    assert 1.15 < found.low < 1.2 < found.high < 1.25


def test_what_may_be_chance_is_no_difference(rows: dict[str, Tally]) -> None:
    """A contestant that takes longer in some rounds and less in others is not told apart."""
    found = rows["rclone"].wall_of_bulkhaul
    assert found is not None
    assert found.word == "no difference"


def test_one_round_shows_nothing() -> None:
    """Of one round there is a ratio, and nothing that says how far it scatters."""
    (found,) = [row.wall_of_bulkhaul for row in tally("task", runs(1), {}) if row.name == "s5cmd"]
    assert found == Ratio(1.19, None, None, "unknown")


def test_bulkhaul_is_not_set_against_itself(rows: dict[str, Tally]) -> None:
    """The row that others are compared with has no ratio of its own, and medians as the others."""
    ours = rows["bulkhaul"]
    assert (ours.wall_of_bulkhaul, ours.cpu_of_bulkhaul) == (None, None)
    assert (ours.wall_s, ours.min_wall_s, ours.max_wall_s) == (2.0, 1.0, 5.0)
    assert (ours.cpu_s, ours.objects_per_s, ours.cpu_us_per_object) == (4.0, 50.0, 40000.0)


def test_the_table_has_each_ratio_its_interval_and_what_is_shown(rows: dict[str, Tally]) -> None:
    """Fastest first; the reason of who failed stands below."""
    console = Console(file=io.StringIO(), width=140)
    print_tally(console, "task", list(rows.values()), {"boto3": "round 2: killed"}, FOR_OBJECTS)
    printed = console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
    lines = {
        line.split()[1]: line for line in printed.splitlines() if line.startswith("\N{BOX DRAWINGS LIGHT VERTICAL}")
    }
    assert "1.20 (1.1" in lines["s5cmd"]
    assert "slower" in lines["s5cmd"]
    assert "no difference" in lines["rclone"]
    assert "failed" in lines["boto3"]
    assert "boto3 failed, round 2: killed" in printed
    assert "medians of 5 paired rounds" in printed


def test_goals_are_judged_by_the_middle_and_print_the_interval(rows: dict[str, Tally]) -> None:
    """What was not measured is neither reached nor missed."""
    s5cmd = rows["s5cmd"].wall_of_bulkhaul
    assert at_least("goal", s5cmd, 1.19).reached is True
    assert at_least("goal", s5cmd, 1.21).reached is False
    assert at_most("goal", s5cmd, 1.19).reached is False
    assert at_most("goal", None, 1.0) == Target("goal", "-", None)
    assert at_most("goal", s5cmd, 1.3).measured == str(s5cmd)
    best = wall_of_best("goal", runs(), ["s5cmd", "rclone", "boto3"], 0.9)
    assert best.measured.endswith(" rclone")
    assert best.reached is False
    console = Console(file=io.StringIO(), width=140)
    print_targets(console, [best], "here")
    assert "NO" in console.file.getvalue()  # type: ignore[attr-defined] # it is a StringIO
