"""How what is written is cut into parts: they tile the object, keep to the limits, and hold what they must."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.errors import PayloadTooLarge, UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, GIB, MIB, TIB, S3Limits
from bulkhaul.policy.uploadplan import plan_upload, stream_part_bytes

SIZES = st.one_of(st.integers(0, 5 * TIB), st.integers(0, 200 * MIB))
PART_SIZES = st.one_of(st.none(), st.integers(5 * MIB, 5 * GIB))


@given(size=SIZES, part_size=PART_SIZES)
def test_parts_tile_the_object(size: int, part_size: int | None) -> None:
    """C40: contiguous, none empty, at most 10,000; all but the last of one length that S3 takes (C42)."""
    layout = plan_upload(size, part_size_bytes=part_size, limits=DEFAULT_LIMITS)
    count = len(layout)
    assert count <= 10_000
    if not size:
        assert count == 0
        return
    assert (layout[0].start, layout[count - 1].end) == (0, size)
    for index in {0, count // 2, count - 1}:
        part = layout[index]
        assert part.number == index + 1
        assert 0 < part.size_bytes <= 5 * GIB
        if index < count - 1:
            assert part.end == layout[index + 1].start
            assert part.size_bytes >= 5 * MIB


@given(size=st.integers(0, 400), part_size=st.integers(3, 50), max_parts=st.integers(1, 40))
def test_every_part_of_small_plans(size: int, part_size: int, max_parts: int) -> None:
    """Whatever the limits, every byte is in exactly one part."""
    limits = S3Limits(max_parts=max_parts, max_object_bytes=400, min_part_bytes=3, max_part_bytes=400)
    layout = plan_upload(size, part_size_bytes=part_size, limits=limits)
    parts = [layout[index] for index in range(len(layout))]
    assert [byte for part in parts for byte in range(part.start, part.end)] == list(range(size))
    assert len(parts) <= max_parts


@pytest.mark.parametrize(
    ("size", "part_mib", "parts"),
    [
        (64 * MIB, 16, 4),
        (64 * MIB + 1, 16, 5),
        (160_000 * MIB, 16, 10_000),
        (160_000 * MIB + 1, 17, 9412),
        (5 * TIB, 525, 9987),
    ],
)
def test_known_plans(size: int, part_mib: int, parts: int) -> None:
    """C41, bettered: the smallest whole MiB that keeps to 10,000 parts."""
    layout = plan_upload(size, part_size_bytes=None, limits=DEFAULT_LIMITS)
    assert (layout.part_size_bytes, len(layout)) == (part_mib * MIB, parts)


def test_refusals() -> None:
    """An object beyond the limit, and a part below it, are refused by what they are."""
    with pytest.raises(PayloadTooLarge):
        plan_upload(5 * TIB + 1, part_size_bytes=None, limits=DEFAULT_LIMITS)
    with pytest.raises(UsageError, match="part"):
        plan_upload(100 * MIB, part_size_bytes=5 * MIB - 1, limits=DEFAULT_LIMITS)


@given(part_size=PART_SIZES)
def test_a_stream_can_hold_the_largest_object(part_size: int | None) -> None:
    """The parts of a stream never shrink, each is one that S3 takes, and 10,000 of them hold 5 TiB."""
    sizes = [stream_part_bytes(n, part_size_bytes=part_size, limits=DEFAULT_LIMITS) for n in range(1, 10_001)]
    assert sizes == sorted(sizes)
    assert sizes[0] >= 5 * MIB
    assert sizes[-1] <= 5 * GIB
    assert sum(sizes) >= 5 * TIB
    wanted = part_size or 8 * MIB
    assert wanted <= sizes[0] < wanted + MIB


@given(
    max_parts=st.integers(2, 200),
    max_object=st.integers(1, 10**7),
    min_part=st.integers(1, 1000),
    part_size=st.one_of(st.none(), st.integers(1, 5000)),
)
def test_a_stream_of_any_limits(max_parts: int, max_object: int, min_part: int, part_size: int | None) -> None:
    """Whatever the limits, the allowed parts hold the largest object, and none is too small."""
    limits = S3Limits(max_parts=max_parts, max_object_bytes=max_object, min_part_bytes=min_part, max_part_bytes=10**7)
    sizes = [stream_part_bytes(n, part_size_bytes=part_size, limits=limits) for n in range(1, max_parts + 1)]
    assert sum(sizes) >= max_object
    assert min(sizes) >= min_part


def test_a_stream_of_gigabytes_has_short_parts() -> None:
    """So that several of them are in flight within 64 MiB of memory."""
    sizes = [stream_part_bytes(n, part_size_bytes=None, limits=DEFAULT_LIMITS) for n in range(1, 600)]
    assert sum(sizes) >= 5 * GIB
    assert max(sizes) <= 16 * MIB
