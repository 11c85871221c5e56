"""Evidence for a larger or smaller window, and the ceiling that a storm leaves behind."""

from __future__ import annotations

import pytest

from bulkhaul.policy.delivery import Flow
from bulkhaul.policy.softceiling import SoftCeiling
from bulkhaul.policy.trials import LEAST, Trial, Trials

BASE, UP, DOWN = 100, 140, 71


def trial_of(flow: Flow, at_s: float, size: int, *, gained: float, wanted: float = 1.0) -> Trial:
    """Play a trial at half-second epochs that delivers ``gained`` times as much as the held size."""
    before_s, in_s, after_s = at_s, at_s + 0.7, at_s + 1.4
    for begin_s, in_flight, rate in ((before_s, BASE, 1.0), (in_s, size, gained), (after_s, BASE, 1.0)):
        flow.pass_time(begin_s, 0)
        flow.pass_time(begin_s + 0.5, int(in_flight * wanted))
        flow.move(begin_s, begin_s + 0.5, int(rate * 50_000_000), 0)
    return Trial(size > BASE, BASE, size, 0.5, before_s, in_s, after_s)


def judged(gains: list[float], size: int, *, wanted: float = 1.0) -> list[bool]:
    """Return for each trial in a row whether its size is to be held."""
    flow = Flow(0.0)
    trials = Trials(flow)
    out = []
    for number, gained in enumerate(gains):
        trial = trial_of(flow, 1.0 + 2.0 * number, size, gained=gained, wanted=wanted)
        out.append(trials.judge(trial, trial.told_s)[0])
    return out


def test_what_grows_with_the_window_is_taken_at_once() -> None:
    """Two fifths more in flight that deliver two fifths more need no second trial."""
    assert judged([1.4], UP) == [True]


def test_a_small_gain_needs_a_second_trial() -> None:
    """A tenth more for two fifths more may be noise; twice in a row it is not."""
    assert judged([1.105, 1.105], UP) == [False, True]


def test_no_gain_and_a_little_gain_are_not_worth_more_requests() -> None:
    """Nothing, or less than a tenth of the step, is not taken however often it comes."""
    assert not any(judged([1.0] * 8, UP))
    assert not any(judged([1.02] * 8, UP))


def test_fewer_that_deliver_as_much_are_taken_and_fewer_that_lose_are_not() -> None:
    """The same by three tenths fewer is taken after some trials, more by fewer at once, a twentieth less never."""
    assert True in judged([1.0] * 10, DOWN)
    assert judged([1.06], DOWN) == [True]
    assert not any(judged([0.95] * 10, DOWN))


def test_a_trial_in_which_less_was_wanted_is_no_evidence() -> None:
    """Half of the window in flight: whatever was delivered, nothing is taken."""
    assert not any(judged([2.0] * 5, UP, wanted=0.5))


def test_a_trial_waits_for_a_full_window_and_for_its_time() -> None:
    """None begins before the size was held for a while, nor while less is wanted; a step down stops at the least."""
    flow = Flow(0.0)
    trials = Trials(flow)
    flow.pass_time(1.0, 50)
    assert trials.begin(1.0, 0.0, BASE, 512) is None
    flow.pass_time(3.0, BASE)
    assert trials.begin(3.0, 2.9, BASE, 512) is None
    begun = trials.begin(3.0, 0.0, BASE, 512)
    assert begun is not None
    assert (begun.base, begun.size) == (BASE, UP)
    flow.pass_time(6.0, 5)
    down = trials.begin(6.0, 0.0, LEAST + 1, LEAST + 1)
    assert down is not None
    assert down.size == LEAST
    assert trials.begin(6.0, 0.0, LEAST, LEAST) is None


def test_the_first_storm_is_believed_to_be_at_the_edge_and_the_next_at_once_is_not() -> None:
    """A lone storm at 100 leaves 93; another a second later leaves what was accepted of it."""
    soft = SoftCeiling()
    assert soft.cut(10.0, 100, 0.3) == 74
    assert soft.target == 93
    assert not soft.hears(10.4)
    assert soft.hears(10.5)
    assert soft.cut(11.0, 90, 0.3) == 21
    assert soft.target == 27


def test_a_storm_is_forgotten_when_nothing_follows() -> None:
    """The ceiling goes half the way back each two seconds, waits under the edge, and then rises ever faster."""
    soft = SoftCeiling()
    soft.cut(0.0, 100, 0.3)
    sizes = []
    for second in range(1, 60):
        soft.rise(float(second), 512)
        sizes.append(soft.size)
    assert sizes[2] == pytest.approx(96.5)
    assert sizes == sorted(sizes)
    assert sizes[9] <= 100.0
    assert sizes[-1] == float("inf")


def test_an_edge_that_is_found_again_and_again_is_tried_less_often() -> None:
    """Each lone storm doubles the waits near its edge, to less than a minute in all."""

    def wait_s(storms: int) -> int:
        soft, now_s = SoftCeiling(), 0.0
        for _ in range(storms):
            now_s += 100.0
            soft.cut(now_s, 100, 0.5)
        waited = 0
        while soft.size <= 100.0:
            waited += 1
            soft.rise(now_s + waited, 512)
        return waited

    waits = [wait_s(storms) for storms in range(1, 7)]
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[2]
    assert waits[-1] == waits[-2] <= 60
