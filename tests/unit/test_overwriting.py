"""Which destinations stay: the truth table of s5cmd's ``shouldOverride``, written again here from its source."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from bulkhaul.policy.overwriting import Known, Overwrite, left_because, of_object

SOURCE = Known(10, 2_000)
SIZES = {"same": 10, "other": 11}
TIMES = {"older": 1_000, "same": 2_000, "newer": 3_000}


def stays_in_s5cmd(size: str, time: str, *, n: bool, s: bool, u: bool) -> bool:
    """Each of the flags decides anew, in this order. Source: s5cmd 2.3, command/cp.go."""
    stays = n
    if s:
        stays = size == "same"
    if u:
        stays = time != "older"
    return stays


@pytest.mark.parametrize(("n", "s", "u"), list(product([False, True], repeat=3)))
def test_as_s5cmd_decides(n: bool, s: bool, u: bool) -> None:
    """For every combination of flags, sizes and times."""
    rule = Overwrite(no_clobber=n, if_size_differs=s, if_source_newer=u)
    assert rule.always == (not (n or s or u))
    assert rule.needs_source == (s or u)
    for size, time in product(SIZES, TIMES):
        left = left_because(rule, SOURCE, Known(SIZES[size], TIMES[time]))
        assert bool(left) == stays_in_s5cmd(size, time, n=n, s=s, u=u), (size, time, left)


def test_a_sync_of_one_object() -> None:
    """It is replaced if its size differs, or if the source is newer, and else stays."""
    rule = Overwrite(if_differs=True)
    stays = {(s, t): bool(left_because(rule, SOURCE, Known(SIZES[s], TIMES[t]))) for s, t in product(SIZES, TIMES)}
    assert stays == {(s, t): s == "same" and t != "older" for s, t in product(SIZES, TIMES)}


@pytest.mark.parametrize(("source", "destination"), [(None, 1), (1, None), (None, None)])
def test_times_that_nobody_tells(source: int | None, destination: int | None) -> None:
    """What is not known to be newer replaces nothing."""
    assert left_because(Overwrite(if_source_newer=True), Known(1, source), Known(1, destination))


def test_times_of_objects() -> None:
    """A listing may tell them finer than HEAD does, so that one object had two times."""
    assert of_object(1, datetime(2024, 5, 17, 12, 34, 56, 789000, UTC)) == Known(1, 1_715_949_296_000_000_000)
    assert of_object(1, None) == Known(1)
