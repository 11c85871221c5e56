"""Delivery by time, from reports that come late and in lumps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.delivery import BIN_S, SPAN_S, Delivery, Flow, log_ratio


def test_a_lump_counts_for_the_time_in_which_it_came() -> None:
    """1000 bytes that came from 1.0 to 1.25 s are 4000 a second in that quarter, and none before or after."""
    delivery = Delivery()
    delivery.add(1.0, 1.25, 1000.0)
    assert delivery.between(1.0, 1.25) == pytest.approx(1000.0)
    assert delivery.between(1.1, 1.2) == pytest.approx(400.0)
    assert delivery.between(0.0, 1.0) == pytest.approx(0.0)
    assert delivery.between(1.25, 5.0) == pytest.approx(0.0)


def test_late_lumps_of_two_workers_make_an_even_rate() -> None:
    """Two workers that tell every 0.25 s, out of step, of 100 bytes a second each, show 200 in any half second."""
    delivery = Delivery()
    for step in range(1, 40):
        for shift_s in (0.0, 0.11):
            told_s = 0.25 * step + shift_s
            delivery.add(told_s - 0.25, told_s, 25.0)
    for begin_s in (1.0, 1.03, 2.37, 6.66):
        assert delivery.between(begin_s, begin_s + 0.5) == pytest.approx(100.0, rel=0.02)


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 3.0), st.floats(0.0, 1e9)), max_size=30))
def test_nothing_recent_is_lost_or_made_up(reports: list[tuple[float, float, float]]) -> None:
    """Whatever the lumps, all that was told within the span of memory is there, and no more."""
    delivery, now_s, told = Delivery(), 0.0, 0.0
    for pause_s, length_s, amount in reports:
        if now_s + pause_s > SPAN_S - 2 * BIN_S:
            break
        now_s += pause_s
        delivery.add(max(0.0, now_s - length_s), now_s, amount)
        told += amount
    assert delivery.between(0.0, SPAN_S) == pytest.approx(told)


def test_old_amounts_are_forgotten() -> None:
    """After more than the span, nothing is left of what came before, and memory has not grown."""
    delivery = Delivery()
    delivery.add(0.0, 1.0, 500.0)
    delivery.add(SPAN_S + 5.0, SPAN_S + 5.1, 1.0)
    assert delivery.between(0.0, 2.0) == 0.0
    delivery.add(0.0, SPAN_S + 5.2, 100.0)  # a report about longer than it remembers counts in full
    assert delivery.between(0.0, SPAN_S + 6.0) == pytest.approx(101.0)


def test_the_turn_of_a_request_follows_from_how_many_are_in_flight_and_end() -> None:
    """Little's law: 8 in flight and 40 ended a second are 0.2 s each."""
    flow = Flow(0.0)
    for step in range(1, 41):
        now_s = step * 0.05
        flow.pass_time(now_s, 8)
        flow.move(now_s - 0.05, now_s, 0, 2)
        flow.measure_turn(now_s)
    assert flow.turn_s == pytest.approx(0.2, rel=0.1)


def test_the_most_in_flight_is_remembered_for_two_spells() -> None:
    """A pause after a refusal does not hide how many were sent before; a second later it does not matter."""
    flow = Flow(0.0)
    flow.rises(64)
    flow.pass_time(0.6, 10)
    assert flow.peak == 64
    flow.pass_time(1.1, 10)
    assert flow.peak == 10


def test_an_empty_interval_has_a_bounded_ratio() -> None:
    """Nothing by nothing is no change; something by nothing is much, but not infinitely much."""
    assert log_ratio(2.0, 1.0) == pytest.approx(0.693, abs=1e-3)
    assert log_ratio(0.0, 0.0) == 0.0
    assert log_ratio(1.0, 0.0) == 3.0
    assert log_ratio(0.0, 5.0) == -3.0


def test_what_a_bin_holds_so_far_is_not_spread_over_all_of_it() -> None:
    """A round may end in the middle of a bin: what was in flight in it is known up to that instant."""
    flow = Flow(0.0)
    for at_ms in range(1, 72):
        flow.pass_time(at_ms / 1000, 8)
    assert flow.in_flight(0.0, 0.071) == pytest.approx(8.0)
    assert flow.in_flight(0.055, 0.071) == pytest.approx(8.0)
