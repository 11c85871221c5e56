"""The window: how many requests are in flight, against paths that are played in steps of a report."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulkhaul.policy.window import Window, ceiling_of

KIB64 = 64 * 1024
REPORT_S = 0.25


@dataclass
class Path:
    """A service that answers ``rate(n)`` requests a second with n in flight, told of by two workers out of step.

    Attributes:
        noise: each report is of so much more or less, at random.
        wanted: most requests that there are to send.
    """

    window: Window
    rate: Callable[[int], float]
    noise: float = 0.0
    wanted: int = 1 << 30
    ttfb_s: float = 0.03
    seed: int = 1
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.sizes: list[int] = []
        self.ended = 0.0

    def play(self, seconds: float) -> list[int]:
        """Go on for so long and return the sizes in it, one a report."""
        first = len(self.sizes)
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            in_flight = min(self.window.size, self.wanted)
            done = self.rate(in_flight) * REPORT_S / 2 * (1 + self.rng.uniform(-self.noise, self.noise))
            self.ended += done
            count = int(self.ended)
            self.ended -= count
            # What ends before it is told of has a successor in the worker's queue already.
            ahead = count if self.wanted > in_flight else 0
            self.window.began(self.now_s, max(0, in_flight + ahead - self.window.outstanding))
            self.now_s += REPORT_S / 2
            self.window.moved(
                max(0.0, self.now_s - REPORT_S), self.now_s, count * KIB64,
                ended=count, heads=count, ttfb_sum_s=count * self.ttfb_s,
            )  # fmt: skip
            self.sizes.append(self.window.size)
        return self.sizes[first:]


def up_to(knee: int, each: float = 33.0) -> Callable[[int], float]:
    """Return a rate that grows with the number in flight up to a knee, and not beyond."""
    return lambda in_flight: each * min(in_flight, knee)


def mean(sizes: list[int]) -> float:
    """Return the mean size."""
    return sum(sizes) / len(sizes)


@pytest.mark.parametrize("knee", [16, 64, 300])
def test_it_finds_where_more_delivers_no_more(knee: int) -> None:
    """It delivers nearly what is possible after seconds, and does not stay far above what that takes."""
    path = Path(Window(), up_to(knee))
    path.play(10.0)
    settled = path.play(60.0)
    assert mean([min(size, knee) for size in settled]) >= 0.95 * knee
    assert mean(settled[-160:]) <= 2.5 * knee


def test_it_is_at_the_ceiling_within_three_seconds_where_all_of_it_delivers() -> None:
    """512 in flight are found from 8 by doubling, told late and in lumps."""
    path = Path(Window(), up_to(10_000))
    assert path.window.size == 8
    path.play(3.0)
    assert path.window.size == 512
    assert mean(path.play(60.0)) >= 0.95 * 512


def test_it_goes_down_where_crowding_costs() -> None:
    """Where each request beyond 12 makes all of them slower, it stays near 12."""
    path = Path(Window(), lambda n: 100.0 * min(n, 12) / (1 + 0.02 * max(0, n - 12)))
    path.play(15.0)
    assert mean(path.play(60.0)) <= 24


def test_the_ceiling_is_kept_from_the_first_request_on() -> None:
    """``--concurrency 3`` is 3, also at first; the largest that it grows to is the ceiling."""
    path = Path(Window(3), up_to(10_000))
    assert path.window.size == 3
    assert max(path.play(20.0)) == 3
    assert max(Path(Window(100), up_to(10_000)).play(20.0)) == 100


@pytest.mark.parametrize("seed", range(5))
def test_noise_alone_neither_collapses_it_nor_drives_it_to_the_ceiling(seed: int) -> None:
    """Each report off by up to a fifth: around a knee of 48 it stays useful and moderate for two minutes."""
    path = Path(Window(), up_to(48), noise=0.2, seed=seed)
    path.play(20.0)
    sizes = path.play(120.0)
    assert mean([min(size, 48) for size in sizes]) >= 0.9 * 48
    assert min(sizes) >= 16
    assert max(sizes) < 512
    assert mean(sizes) <= 160


def test_what_is_not_wanted_teaches_nothing() -> None:
    """With work for 5 requests at a time, the window stays as it was, however long and whatever they deliver."""
    path = Path(Window(), up_to(10_000), noise=0.5, wanted=5)
    assert set(path.play(60.0)) == {8}
    path.wanted = 1 << 30  # and then it grows as if it had just begun
    path.play(3.0)
    assert path.window.size == 512


def test_a_held_window_stays_while_less_is_wanted() -> None:
    """What was found stays for as long as fewer requests are wanted, and none of them is a trial."""
    path = Path(Window(), up_to(64))
    path.play(20.0)
    path.wanted = 5
    path.play(5.0)  # a trial that was under way ends
    assert len(set(path.play(60.0))) == 1


def test_a_trial_in_which_less_was_wanted_says_nothing() -> None:
    """What five requests delivered, however much, is no reason to hold the size that was being tried."""
    path = Path(Window(), up_to(64))
    path.play(20.0)
    held = path.window.size
    while path.play(0.125)[0] == held:
        pass
    path.wanted, path.rate = 5, lambda _: 50_000.0
    assert set(path.play(30.0)[20:]) == {held}


def test_idle_time_does_not_count() -> None:
    """A minute without any request changes nothing, neither at first nor once a size is held."""
    path = Path(Window(), up_to(64))
    path.play(20.0)
    before = path.window.size
    path.wanted = 0
    path.window.let_go(path.now_s, path.window.outstanding)
    sizes = path.play(60.0)
    assert set(sizes[20:]) <= {before, *sizes[:20]}
    path.wanted = 1 << 30
    assert mean([min(size, 64) for size in path.play(30.0)]) >= 0.9 * 64


def test_slow_down_takes_it_down_at_once_and_a_storm_is_one_signal() -> None:
    """The first refusal cuts by a quarter; those of the next half second, sent before, do not."""
    path = Path(Window(), up_to(64))
    path.play(20.0)
    before = path.window.size
    assert path.window.slow_down(path.now_s, in_flight=before)
    after = path.window.size
    assert after <= 0.75 * before
    for step in range(1, 5):
        assert not path.window.slow_down(path.now_s + 0.1 * step, in_flight=after)
    assert path.window.size == after
    assert path.window.slow_down(path.now_s + 0.6, in_flight=after)
    assert path.window.size < after


def test_slow_down_before_anything_was_told_is_taken() -> None:
    """A service may refuse the very first requests; one may always go out."""
    window = Window()
    window.began(0.0, 8)
    for step in range(40):
        window.slow_down(step * 0.6, in_flight=8)
    assert window.size == 1


def test_it_recovers_from_a_passing_storm() -> None:
    """After a second of refusals out of nowhere, half is delivered again within 5 s, and all of it within 30 s."""
    path = Path(Window(), up_to(200))
    path.play(20.0)
    for _ in range(8):
        path.window.slow_down(path.now_s, in_flight=min(200, path.window.size))
        path.window.let_go(path.now_s, path.window.size)
        path.play(0.125)
    path.play(5.0)
    assert path.window.size >= 100
    path.play(25.0)
    assert mean([min(size, 200) for size in path.play(20.0)]) >= 0.95 * 200


def test_it_stays_under_a_limit_of_the_service_without_many_refusals() -> None:
    """Above 40 in flight the service refuses: most of 40 are in use, and it is not asked for more all the time."""
    path = Path(Window(), up_to(10_000))
    cuts = 0
    for _ in range(60 * 8):
        path.play(0.125)
        if path.window.size > 40:
            cuts += path.window.slow_down(path.now_s, in_flight=path.window.size)
    assert cuts <= 20
    assert mean(path.sizes[-320:]) >= 0.85 * 40


def test_one_broken_connection_is_chance_and_many_are_not() -> None:
    """One of 64 that breaks now and then changes nothing; nine within a second cut the window."""
    path = Path(Window(first=64), up_to(64))
    path.play(0.25)
    before = path.window.size
    for _ in range(5):
        assert not path.window.broke(path.now_s)
        path.now_s += 2.0
        path.play(0.125)
    before = path.window.size
    cuts = [path.window.broke(path.now_s) for _ in range(1 + before // 8)]
    assert cuts[-1]
    assert path.window.size < before


def test_a_busy_client_grows_no_further() -> None:
    """All CPU in use: what is in flight is not doubled any more, though each report says that more delivers more."""
    path = Path(Window(), up_to(10_000))
    path.play(0.5)
    path.window.saturated(path.now_s, 1.0)
    held = path.window.size
    for _ in range(40):
        path.play(0.125)
        path.window.saturated(path.now_s, 1.0)
    assert max(path.sizes[5:]) <= held


def test_a_loop_that_is_overrun_takes_it_down() -> None:
    """A worker whose loop was late by half a second has too much to do; a late loop is one signal for half a second."""
    path = Path(Window(first=100), up_to(10_000))
    path.play(0.125)
    before = path.window.size
    path.window.saturated(path.now_s, 0.5, lag_s=0.5)
    assert path.window.size <= 0.75 * before
    after = path.window.size
    path.window.saturated(path.now_s + 0.1, 0.5, lag_s=0.5)
    assert path.window.size == after


def test_it_follows_a_path_that_becomes_wider_and_narrower() -> None:
    """From a knee of 16 to 256 within 30 s, and back down within two minutes."""
    path = Path(Window(), up_to(16))
    path.play(30.0)
    path.rate = up_to(256)
    path.play(30.0)
    assert mean([min(size, 256) for size in path.play(20.0)]) >= 0.9 * 256
    path.rate = up_to(16, each=528.0)  # the same delivery, by far fewer
    path.play(120.0)
    assert mean(path.play(20.0)) <= 100


def test_a_path_that_becomes_much_wider_is_in_use_within_seconds() -> None:
    """A change of what is delivered is looked into at once, and a step that gains all of itself leads to doubling."""
    path = Path(Window(), up_to(16))
    path.play(120.0)  # trials rest for half a minute by now
    path.rate = up_to(10_000, each=66.0)
    assert max(path.play(7.0)) == 512


def test_a_silent_throttle_is_met_with_less() -> None:
    """A service that delivers ever less, whatever is in flight, is not met with ever more (huggingface_hub #4893)."""
    path = Path(Window(), up_to(128))
    path.play(20.0)
    path.rate = lambda n: 40.0
    before = mean(path.play(5.0))
    path.play(60.0)
    assert mean(path.play(20.0)) <= before / 2


@given(
    st.integers(1, 600),
    st.lists(
        st.tuples(
            st.sampled_from(["began", "moved", "let_go", "slow_down", "broke", "saturated", "lagged", "tick"]),
            st.sampled_from([0.0, 0.001, 0.05, 0.25, 0.9, 5.0, 40.0]),
            st.integers(0, 700),
            st.floats(0.0, 10.0),
        ),
        max_size=150,
    ),
)
@settings(max_examples=150, deadline=None)
def test_no_events_take_it_out_of_its_bounds(ceiling: int, events: list[tuple[str, float, int, float]]) -> None:
    """Late, lumped, missing or made-up events: from 1 to the ceiling, and the same events give the same sizes."""

    def sizes() -> list[int]:
        window, now_s, seen = Window(ceiling), 0.0, []
        for kind, pause_s, count, seconds in events:
            now_s += pause_s
            if kind == "began":
                window.began(now_s, count)
            elif kind == "moved":
                window.moved(
                    max(0.0, now_s - seconds),
                    now_s,
                    count * KIB64,
                    ended=count,
                    heads=count,
                    ttfb_sum_s=seconds * count,
                )
            elif kind == "let_go":
                window.let_go(now_s, count)
            elif kind == "slow_down":
                before, cut = window.size, window.slow_down(now_s, in_flight=count)
                assert window.size < before or before == 1 or not cut
            elif kind == "broke":
                window.broke(now_s)
            elif kind == "saturated":
                window.saturated(now_s, seconds / 5)
            elif kind == "lagged":
                window.saturated(now_s, 0.0, lag_s=seconds)
            else:
                window.tick(now_s)
            assert 1 <= window.size <= ceiling
            assert window.outstanding >= 0
            seen.append(window.size)
        return seen

    assert sizes() == sizes()


def test_the_ceiling_comes_from_what_there_is() -> None:
    """The user's number, descriptors and the buffers' pool bound it, and 512 without any of them; never under 1."""
    plenty = {"descriptors": 1 << 20, "pool_bytes": 1 << 40, "buffer_bytes": 1 << 18}
    assert ceiling_of(None, **plenty) == 512
    assert ceiling_of(1000, **plenty) == 1000
    assert ceiling_of(None, **{**plenty, "descriptors": 328}) == 100
    assert ceiling_of(None, **{**plenty, "pool_bytes": 64 << 18}) == 64
    assert ceiling_of(None, descriptors=10, pool_bytes=0, buffer_bytes=0) == 1
