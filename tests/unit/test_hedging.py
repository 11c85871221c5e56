"""Twins of requests whose reply does not begin: when, and how many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.hedging import Hedging


def test_nothing_is_hedged_within_a_second() -> None:
    """With replies after 30 ms, or none known, a twin goes out after one second and no sooner."""
    hedging = Hedging()
    assert hedging.after_s() == 1.0
    for _ in range(1000):
        hedging.note(0.030)
    assert hedging.after_s() == 1.0


def test_a_service_that_is_slow_for_all_is_given_its_time() -> None:
    """Where replies take 2 s, a twin waits for more than twice that: they are not late."""
    hedging = Hedging()
    for _ in range(200):
        hedging.note(2.0)
    assert 4.0 < hedging.after_s() < 10.0


@pytest.mark.parametrize("ttfb_s", [0.0, 0.0005, 0.001, 0.02, 0.15, 1.0, 7.0, 60.0])
def test_the_percentile_is_at_most_a_quarter_too_long(ttfb_s: float) -> None:
    """Fixed memory costs precision: the estimate lies between the true value and a quarter more."""
    hedging = Hedging()
    for _ in range(100):
        hedging.note(ttfb_s)
    assert max(0.001, ttfb_s) <= hedging.p95_s() * 1.000001
    assert hedging.p95_s() <= max(0.001, ttfb_s) * 1.2500001


def test_one_in_a_hundred_does_not_move_the_percentile_and_one_in_ten_does() -> None:
    """The 95th percentile of 99 short and 1 long reply is short; of 90 and 10 it is long."""
    rare, often = Hedging(), Hedging()
    for index in range(400):
        rare.note(2.0 if index % 100 == 7 else 0.03)
        often.note(2.0 if index % 10 == 7 else 0.03)
    assert rare.p95_s() < 0.04
    assert often.p95_s() >= 2.0


def test_the_percentile_follows_the_last_thousand_or_so() -> None:
    """A service that was slow an hour ago is not slow now."""
    hedging = Hedging()
    for _ in range(5000):
        hedging.note(3.0)
    for _ in range(3000):
        hedging.note(0.02)
    assert hedging.after_s() == 1.0


def test_replies_of_any_length_are_taken() -> None:
    """A reply that took an hour is long, not an error."""
    hedging = Hedging()
    hedging.note(3600.0)
    assert hedging.after_s() > 60.0


def test_ten_twins_at_first_and_then_one_for_twenty_replies() -> None:
    """The budget begins at 10 and gains a twentieth a reply: after 10 twins, 19 replies pay for none, 20 for one."""
    hedging = Hedging()
    assert [hedging.take() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(19):
        hedging.note(0.03)
    assert not hedging.take()
    hedging.note(0.03)
    assert hedging.take()
    assert not hedging.take()


def test_the_budget_is_capped() -> None:
    """However many replies came before, a hundred twins may go out at once and no more."""
    hedging = Hedging()
    for _ in range(10_000):
        hedging.note(0.03)
    assert sum(hedging.take() for _ in range(150)) == 100


def test_replies_that_came_before_pay() -> None:
    """A run whose late replies come at its end has a twentieth of a twin for each reply before, and the first ten."""
    hedging = Hedging()
    for _ in range(1000):
        hedging.note(0.03)
    assert sum(hedging.take() for _ in range(150)) == 60


def test_no_twin_while_not_calm_and_it_costs_nothing() -> None:
    """While the service throttles or is away, or the machine is busy, nothing is doubled or spent."""
    hedging = Hedging()
    before = hedging.tokens
    assert not hedging.take(calm=False)
    assert hedging.tokens == before


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 100.0)), max_size=600))
def test_twins_are_never_more_than_a_twentieth_and_ten(moves: list[float | None]) -> None:
    """In any order of replies and late requests, at any time."""
    hedging, twins, replies = Hedging(), 0, 0
    for ttfb_s in moves:
        if ttfb_s is None:
            twins += hedging.take()
        else:
            hedging.note(ttfb_s)
            replies += 1
        assert twins <= 0.05 * replies + 10
        assert hedging.after_s() >= 1.0
