"""Slices of throughput are few whatever the span, add up exactly, and do not depend on the order of objects."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.policy.throughput import MAX_SLICES, Slice, Throughput

moved = st.tuples(st.integers(0, 2**45), st.floats(0, 1e6), st.floats(0.001, 4e9))


def slices(objects: list[tuple[int, float, float]]) -> tuple[Slice, ...]:
    """Return the slices of objects."""
    throughput = Throughput()
    for each in objects:
        throughput.add(*each)
    return throughput.slices()


def test_a_large_object_is_spread_over_its_time() -> None:
    """1,000 bytes in 10 s are 100 bytes a second, and the object counts when it ended."""
    told = slices([(1000, 10.0, 100.0)])
    assert [part.start_s for part in told] == list(range(90, 101))
    assert [part.size_bytes for part in told] == [100] * 10 + [0]
    assert [part.objects for part in told] == [0] * 10 + [1]


def test_slices_grow_wider_not_more() -> None:
    """A job that was paused for a year has no more slices than one of a minute."""
    throughput = Throughput()
    for day in range(365):
        throughput.add(1, 0.1, 1e9 + day * 86_400)
    told = throughput.slices()
    assert MAX_SLICES / 2 <= len(told) <= MAX_SLICES
    assert (
        told[1].start_s - told[0].start_s == throughput.width_s == 2**19
    )  # the smallest power that has 120 cover a year
    assert sum(part.objects for part in told) == 365


def test_an_end_that_nobody_knows_counts_nowhere() -> None:
    """Rows without an instant leave no slice at the epoch."""
    assert slices([(5, 1.0, 0.0), (5, 1.0, float("nan")), (5, 1.0, float("inf"))]) == ()


@given(st.lists(moved, max_size=30), st.randoms(use_true_random=False))
def test_slices_add_up_in_any_order(objects: list[tuple[int, float, float]], chance: random.Random) -> None:
    """Every byte and every object is in exactly one slice."""
    told = slices(objects)
    assert len(told) <= MAX_SLICES
    assert sum(part.size_bytes for part in told) == sum(size for size, _, _ in objects)
    assert sum(part.objects for part in told) == len(objects)
    assert all(part.size_bytes >= 0 for part in told)
    shuffled = list(objects)
    chance.shuffle(shuffled)
    assert slices(shuffled) == told
