"""How objects are cut into parts: exactly, within the limits, at the object's own boundaries."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.model.errors import PayloadTooLarge, UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, GIB, KIB, MIB, TIB, S3Limits
from bulkhaul.policy.layout import Layout, Part, parts_within, plan_download, smallest_part_size
from tests.unit.strategies import SIZES, parts_of

PART_SIZES = st.one_of(st.none(), st.integers(1, 5 * GIB))


def assert_tiles(layout: Layout, size_bytes: int) -> None:
    """Assert that the parts are ``[0, size)`` exactly: in order, numbered from 1, none empty, none overlapping."""
    at = 0
    for number, part in enumerate(parts_of(layout), start=1):
        assert (part.number, part.start) == (number, at)
        assert part.end > part.start
        assert part.size_bytes == part.end - part.start
        at = part.end
    assert at == size_bytes == layout.size_bytes


@given(SIZES, PART_SIZES)
def test_parts_tile_the_object_exactly(size_bytes: int, part_size_bytes: int | None) -> None:
    """Any object and any wanted part size give parts that tile it, never more than 10,000 (C42)."""
    layout = plan_download(size_bytes, part_size_bytes=part_size_bytes)
    assert len(layout) <= 10_000
    assert_tiles(layout, size_bytes)


@given(SIZES, PART_SIZES)
@example(15_000 * MIB, 3 * MIB // 2)
def test_parts_are_as_large_as_wanted_where_the_limit_allows(size_bytes: int, part_size_bytes: int | None) -> None:
    """The wanted length (16 MiB without one) is kept unless it would take more than 10,000 parts."""
    wanted = part_size_bytes or 16 * MIB
    layout = plan_download(size_bytes, part_size_bytes=part_size_bytes)
    if -(-size_bytes // wanted) <= 10_000:
        assert layout.part_size_bytes == wanted
    else:
        assert layout.part_size_bytes > wanted


@given(
    st.integers(1, 10**9),
    st.sets(st.integers(1, 10**9), max_size=30),
    st.integers(10**5, 10**9),
    st.integers(40, 10_000),
)
def test_an_aligned_layout_cuts_at_every_boundary(
    size_bytes: int, cuts: set[int], part_size_bytes: int, max_parts: int
) -> None:
    """Where the object's own parts begin, a part begins; the parts still tile the object within the limit."""
    boundaries = (0, *sorted(cut for cut in cuts if cut < size_bytes))
    limits = S3Limits(max_parts=max_parts)
    layout = plan_download(size_bytes, part_size_bytes=part_size_bytes, boundaries=boundaries, limits=limits)
    assert_tiles(layout, size_bytes)
    assert set(boundaries) <= {part.start for part in parts_of(layout)}
    assert len(layout) <= max_parts
    for begin, end in zip(boundaries, (*boundaries[1:], size_bytes), strict=True):
        indices = parts_within(layout, begin, end)
        assert (layout[indices[0]].start, layout[indices[-1]].end) == (begin, end)


@given(st.integers(1, 10**7), st.integers(1000, 10**6), st.data())
def test_parts_within_a_range_are_those_that_make_it_up(
    size_bytes: int, part_size_bytes: int, data: st.DataObject
) -> None:
    """Between any two cuts of a regular layout lie exactly the parts that begin there."""
    layout = plan_download(size_bytes, part_size_bytes=part_size_bytes)
    first = data.draw(st.integers(0, len(layout) - 1))
    last = data.draw(st.integers(first, len(layout) - 1))
    assert parts_within(layout, layout[first].start, layout[last].end) == range(first, last + 1)


@pytest.mark.parametrize(
    ("size_bytes", "parts"),
    [(64 * MIB, 4), (6 * GIB, 384), (64 * MIB + 1, 5), (160_000 * MIB, 10_000)],
    ids=["C41 64 MiB", "C15 6 GiB", "one byte over", "C41 156.25 GiB"],
)
def test_sixteen_mebibyte_parts(size_bytes: int, parts: int) -> None:
    """Without a wanted size an object is cut into 16 MiB, as many as the contract says."""
    layout = plan_download(size_bytes)
    assert (len(layout), layout[0].size_bytes) == (parts, 16 * MIB)


@pytest.mark.parametrize(
    ("size_bytes", "part_mib"),
    [(160_000 * MIB + 1, 17), (200 * GIB, 21), (TIB, 105), (5 * TIB, 525)],
)
def test_parts_grow_only_as_far_as_the_limit_demands(size_bytes: int, part_mib: int) -> None:
    """Above 156.25 GiB parts are ceil(size / 10,000) rounded up to a MiB, not doubled to 1 GiB."""
    layout = plan_download(size_bytes)
    assert layout.part_size_bytes == part_mib * MIB
    assert 9_000 < len(layout) <= 10_000


def test_a_hundred_gibibytes_in_small_parts_stay_within_ten_thousand() -> None:
    """5 MiB parts of 100 GiB would be 20,480: they become 11 MiB."""
    layout = plan_download(100 * GIB, part_size_bytes=5 * MIB)
    assert (layout.part_size_bytes, len(layout)) == (11 * MIB, 9_310)
    assert_tiles(layout, 100 * GIB)


def test_an_empty_object_has_no_parts() -> None:
    """Size 0: no part, no GET (C13), whatever part size is wanted or boundary known."""
    for layout in (plan_download(0), plan_download(0, part_size_bytes=5), plan_download(0, boundaries=(0,))):
        assert len(layout) == 0
        assert not layout.whole


@pytest.mark.parametrize(("size_bytes", "whole"), [(1, True), (16 * MIB, True), (16 * MIB + 1, False)])
def test_an_object_of_one_part_is_fetched_whole(size_bytes: int, whole: bool) -> None:
    """Up to one part no Range is sent; from the next byte on there is one."""
    assert plan_download(size_bytes).whole is whole
    assert plan_download(size_bytes, boundaries=(0,)).whole is whole


def test_an_object_over_the_limit_is_refused() -> None:
    """5 TiB is planned, one byte more is PayloadTooLarge, unless the limit was raised."""
    assert len(plan_download(5 * TIB)) == 9_987
    with pytest.raises(PayloadTooLarge, match=str(5 * TIB + 1)):
        plan_download(5 * TIB + 1)
    raised = S3Limits(max_object_bytes=48 * TIB)
    assert len(plan_download(5 * TIB + 1, limits=raised)) <= 10_000


@pytest.mark.parametrize("boundaries", [(1,), (0, 5, 5), (0, 7, 3), (0, 100), (0, 101), (-1, 5)], ids=str)
def test_boundaries_that_cannot_be_are_refused(boundaries: tuple[int, ...]) -> None:
    """Boundaries begin at 0, ascend, and lie within the object."""
    with pytest.raises(UsageError, match="boundaries"):
        plan_download(100, boundaries=boundaries)


def test_a_negative_size_is_refused() -> None:
    """A length below zero is a mistake of the caller, not an empty object."""
    with pytest.raises(UsageError):
        plan_download(-1)


def test_ten_thousand_own_parts_are_kept_apart() -> None:
    """An object uploaded in 10,000 parts is cut at each of them, though its parts are small."""
    boundaries = tuple(range(0, 10_000 * 6 * KIB, 6 * KIB))
    layout = plan_download(10_000 * 6 * KIB, part_size_bytes=4 * KIB, boundaries=boundaries)
    assert len(layout) == 10_000
    assert layout[9_999] == Part(10_000, boundaries[-1], 10_000 * 6 * KIB)


@pytest.mark.parametrize("index", [-1, 3, 10_000])
def test_a_part_that_does_not_exist_is_an_index_error(index: int) -> None:
    """A layout of three parts has parts 0, 1 and 2."""
    with pytest.raises(IndexError):
        plan_download(3, part_size_bytes=1)[index]


@given(st.integers(1, 5 * TIB), st.integers(1, 10_000))
def test_the_smallest_part_size_is_the_smallest(size_bytes: int, max_parts: int) -> None:
    """It is enough, one step (a MiB, or a byte below one) less is not."""
    chosen = smallest_part_size(size_bytes, max_parts=max_parts)
    step = MIB if chosen >= MIB else 1
    assert -(-size_bytes // chosen) <= max_parts
    assert chosen == step or -(-size_bytes // (chosen - step)) > max_parts
    assert chosen % step == 0


def test_the_limits_are_those_of_s3() -> None:
    """10,000 parts of 5 MiB to 5 GiB, objects up to 5 TiB (S3 User Guide, "multipart upload limits"; C42)."""
    assert S3Limits(10_000, 5 * TIB, 5 * MIB, 5 * GIB) == DEFAULT_LIMITS
