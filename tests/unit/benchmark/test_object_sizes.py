"""Sizes of a benchmark's objects are distributed as they are asked for, and follow from an object's place alone."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import UsageError
from bulkhaul.policy.object_sizes import class_of, largest, parse_sizes, size_of
from bulkhaul.policy.sizes_seen import SizesSeen

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MANY = 20_000


def drawn(text: str, seed: int = 1) -> list[int]:
    """Return the sizes of many objects."""
    sizes = parse_sizes(text)
    return [size_of(sizes, seed, place) for place in range(MANY)]


def test_uniform() -> None:
    """All of the range is as likely; the ends belong to it."""
    found = drawn("uniform:4KiB..1MiB")
    assert min(found) >= 4 * KIB
    assert max(found) <= MIB
    assert statistics.fmean(found) == pytest.approx((4 * KIB + MIB) / 2, rel=0.02)
    assert set(drawn("uniform:1..3")) == {1, 2, 3}


def test_lognormal() -> None:
    """The median is the one that is named, and the logarithms scatter by sigma."""
    found = drawn("lognormal:1MiB,σ=1.5")
    assert statistics.median(found) == pytest.approx(MIB, rel=0.05)
    uncut = [math.log(size) for size in found if size < GIB]
    assert statistics.stdev(uncut) == pytest.approx(1.5, rel=0.03)
    assert max(found) <= GIB


def test_weights() -> None:
    """Each size comes as often as its weight says."""
    found = drawn("weights:64KiB=80,16MiB=20")
    assert set(found) == {64 * KIB, 16 * MIB}
    assert found.count(64 * KIB) / MANY == pytest.approx(0.8, abs=0.02)


def test_another_seed_draws_others() -> None:
    """Objects of two seeds have nothing to do with each other; those of one are always the same."""
    assert drawn("uniform:1..1000000", seed=1) == drawn("uniform:1..1000000", seed=1)
    same = sum(
        one == other for one, other in zip(drawn("uniform:1..1000", 1), drawn("uniform:1..1000", 2), strict=True)
    )
    assert same < MANY / 300


@given(st.sampled_from(["64KiB", "uniform:0..9", "lognormal:1KiB,sigma=3", "weights:1=1,7=2"]), st.integers(0, 1 << 40))
def test_no_size_is_above_the_largest(text: str, place: int) -> None:
    """Bodies are made as long as the largest object may be."""
    sizes = parse_sizes(text)
    assert 0 <= size_of(sizes, 7, place) <= largest(sizes)


@pytest.mark.parametrize(
    "text",
    ["", "64 Kib x", "uniform:", "uniform:2..1", "uniform:1KiB", "lognormal:1MiB", "lognormal:1MiB,tau=1", "weights:",
     "weights:1KiB", "weights:1KiB=0", "weights:1KiB=-1", "weights:1KiB=inf", "poisson:3", "2GiB", "lognormal:1,σ=nan"],
)  # fmt: skip
def test_what_is_no_size(text: str) -> None:
    """The message shows how sizes are written, or the limit."""
    with pytest.raises(UsageError, match=r"is no size of objects; write it as|at most 1 GiB"):
        parse_sizes(text)


def test_sizes_like_others() -> None:
    """What is drawn like sizes that were seen has their mean and their classes."""
    seen, sizes = SizesSeen(), [*range(1000, 2000), 0, 5 * MIB, 5 * MIB + 1]
    for size_bytes in sizes:
        seen.add(size_bytes)
    again = parse_sizes(seen.text())
    drawn_sizes = [size_of(again, 3, place) for place in range(MANY)]
    assert statistics.fmean(drawn_sizes) == pytest.approx(statistics.fmean(sizes), rel=0.4)
    assert {class_of(size) for size in drawn_sizes} == {class_of(size) for size in sizes}
    assert (seen.count, seen.cut) == (len(sizes), 0)
    assert SizesSeen().text() == ""
