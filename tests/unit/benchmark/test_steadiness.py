"""Which part of a run counts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.steadiness import steady
from bulkhaul.policy.student import quantile

SEEDS = st.integers(min_value=0, max_value=2**32)


def noisy(level: float, noise: float, chance: random.Random) -> float:
    """Return a rate with normal noise; rates are not negative."""
    return max(0.0, level * chance.gauss(1, noise))


class TestStudent:
    """The distribution of a mean of few values."""

    @pytest.mark.parametrize(
        ("probability", "freedom", "value"),
        [(0.975, 1, 12.706), (0.975, 2, 4.303), (0.975, 4, 2.776), (0.995, 18, 2.878), (0.95, 5, 2.015)],
    )
    def test_agrees_with_the_printed_table(self, probability: float, freedom: float, value: float) -> None:
        """Quantiles are those of the NIST/SEMATECH e-Handbook, table 1.3.6.7.2."""
        assert quantile(probability, freedom) == pytest.approx(value, abs=0.0006)

    @given(st.floats(min_value=0.51, max_value=0.999))
    def test_with_one_degree_of_freedom_it_is_cauchys(self, probability: float) -> None:
        """With one degree of freedom Student's distribution is Cauchy's, whose quantile is a tangent."""
        assert quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), rel=1e-6)


class TestSteady:
    """Runs that were steady."""

    @pytest.mark.parametrize("windows", [5, 8, 20, 60, 600])
    def test_what_never_changes_counts_as_a_whole(self, windows: int) -> None:
        """A run without any change counts from its first window to its last."""
        assert steady([250.0] * windows) == (0, windows)

    @pytest.mark.parametrize(("windows", "least"), [(8, 90), (20, 95), (60, 95), (300, 95)])
    def test_white_noise_is_nearly_always_steady(self, windows: int, least: int) -> None:
        """Noise of 10 % around a constant is steady, in at least 95 of 100 runs; in 90 of 100 that are very short."""
        chance = random.Random(windows)
        runs = [[noisy(100, 0.1, chance) for _ in range(windows)] for _ in range(500)]
        found = sum(steady(run) is not None for run in runs)
        assert found >= least * 5

    @given(seed=SEEDS, takes=st.integers(2, 15), windows=st.integers(40, 120), noise=st.floats(0, 0.02))
    def test_a_warm_up_is_cut_where_it_ends(self, seed: int, takes: int, windows: int, noise: float) -> None:
        """What counts begins within two windows of the end of a warm-up."""
        chance = random.Random(seed)
        rates = [noisy(1e9 * min(1, (at + 1) / (takes + 1)), noise, chance) for at in range(windows)]
        found = steady(rates)
        assert found is not None
        assert abs(found[0] - takes) <= 2
        assert found[1] >= windows - 1

    @given(seed=SEEDS, takes=st.integers(1, 20), height=st.floats(0, 0.7))
    def test_a_step_is_cut_where_it_is(self, seed: int, takes: int, height: float) -> None:
        """After a step within the first half, what counts begins within two windows of it."""
        chance = random.Random(seed)
        found = steady([noisy(height if at < takes else 1, 0.02, chance) for at in range(50)])
        assert found is not None
        assert abs(found[0] - takes) <= 2

    @pytest.mark.parametrize("last", [0.0, 40.0, 85.0, 130.0])
    def test_a_last_window_that_was_cut_short_does_not_count(self, last: float) -> None:
        """The last window is left out if it differs from the others, and the run stays steady."""
        assert steady([100.0] * 20 + [last]) == (0, 20)

    def test_a_dip_in_between_does_not_end_what_counts(self) -> None:
        """One bad window within a steady run belongs to it."""
        assert steady([100.0] * 20 + [60.0] + [100.0] * 20) == (0, 41)


class TestNeverSteady:
    """Runs that must not be taken for steady."""

    @pytest.mark.parametrize("windows", range(5))
    def test_less_than_five_windows_are_too_few(self, windows: int) -> None:
        """A run of less than five windows is never steady, whatever it looks like."""
        assert steady([100.0] * windows) is None

    @given(
        seed=SEEDS,
        begins=st.floats(0, 0.6),
        windows=st.integers(20, 300),
        noise=st.floats(0, 0.02),
        falls=st.booleans(),
    )
    def test_a_ramp_over_the_whole_run_is_never_steady(
        self, seed: int, begins: float, windows: int, noise: float, *, falls: bool
    ) -> None:
        """Throughput that rises or falls from the first window to the last was never steady."""
        chance = random.Random(seed)
        rates = [noisy(begins + (1 - begins) * at / (windows - 1), noise, chance) for at in range(windows)]
        assert steady(rates[::-1] if falls else rates) is None

    @pytest.mark.parametrize("windows", [30, 60, 300])
    def test_noise_hides_no_ramp(self, windows: int) -> None:
        """With noise of 10 %, a ramp to twice the rate is found in at least 97 of 100 runs."""
        chance = random.Random(windows)
        runs = [[noisy(0.5 + 0.5 * at / windows, 0.1, chance) for at in range(windows)] for _ in range(300)]
        assert sum(steady(run) is None for run in runs) >= 291

    @pytest.mark.parametrize("windows", [5, 30])
    def test_zeros_are_not_steady(self, windows: int) -> None:
        """A run that moved nothing has no steady part."""
        assert steady([0.0] * windows) is None

    def test_a_change_late_in_the_run_is_not_steady(self) -> None:
        """A step after the middle leaves less than half of the run, so it was never steady."""
        assert steady([100.0] * 40 + [60.0] * 20) is None

    def test_a_climb_after_a_warm_up_is_not_steady(self) -> None:
        """What goes on rising after a jump is no steady part, although a jump is where a warm-up ends."""
        assert steady([10.0] * 10 + [70 + 30 * at / 49 for at in range(50)]) is None

    def test_a_run_that_ends_in_a_stall_is_not_steady(self) -> None:
        """More than the last window at zero is no window that was cut short."""
        assert steady([100.0] * 40 + [0.0] * 4) is None

    def test_wild_throughput_is_not_steady(self) -> None:
        """Throughput of which a few seconds tell nothing is not steady, although it has no slope."""
        assert steady([0.0, 300.0] * 10) is None
