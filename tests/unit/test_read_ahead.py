"""Which ranges a reader asks for: all that it reads, once, little after a jump, and never more than it may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.model.limits import KIB, MIB
from bulkhaul.policy.read_ahead import FIRST_BYTES, MOST_BYTES, ReadAhead


@given(
    size=st.integers(1, 200 * MIB),
    reads=st.lists(st.integers(1, 64 * MIB), min_size=1, max_size=60),
    start=st.floats(0, 1, exclude_max=True),
)
def test_what_is_read_is_asked_for_once_and_in_bounds(size: int, reads: list[int], start: float) -> None:
    """Ranges tile the object from the jump on, hold the next byte, and reach no further than a reader may hold."""
    plan, at = ReadAhead(size), int(size * start)
    plan.jump(at)
    asked = at
    for wanted in reads:
        for begin, end in plan.ranges(at, wanted):
            assert begin == asked
            assert begin < end <= size
            asked = end
        assert asked == plan.end
        assert at == size or at < asked <= max(at + MOST_BYTES, at + FIRST_BYTES)
        at = min(size, at + min(wanted, asked - at))


def test_a_jump_asks_for_little_and_going_on_for_ever_more() -> None:
    """A footer costs 128 KiB; after four more reads 32 MiB are on their way."""
    plan = ReadAhead(1 << 40)
    plan.jump(1 << 30)
    assert plan.ranges(1 << 30, 8) == [(1 << 30, (1 << 30) + 128 * KIB)]
    amounts = []
    for _ in range(5):
        at = plan.end
        amounts.append(sum(end - start for start, end in plan.ranges(at, 1)))
    assert amounts == [512 * KIB, 2 * MIB, 8 * MIB, 32 * MIB, 32 * MIB]


def test_more_is_asked_for_when_half_of_it_is_used() -> None:
    """A steady reader never finds its way empty: what follows is asked for while half is still ahead."""
    plan = ReadAhead(1 << 40)
    for _ in range(6):
        plan.ranges(plan.end, 1)
    at = plan.end - MOST_BYTES
    assert plan.ranges(at, 1) == []
    assert sum(end - start for start, end in plan.ranges(at + MOST_BYTES // 2, 1)) == MOST_BYTES // 2
