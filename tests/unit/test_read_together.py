"""Which ranges are read together: near ones, but never much that nobody wants."""

from __future__ import annotations

import random

from bulkhaul.model.limits import MIB
from bulkhaul.policy.ranges import grouped


def test_many_small_ranges_are_not_the_whole_object() -> None:
    """Each just near the next: 100 bytes of 100 MiB are read by requests of 16 MiB at most."""
    spans = [(number * MIB, number * MIB + 1) for number in range(100)]
    groups = grouped(spans)
    assert max(end - start for (start, end), _ in groups) <= 16 * MIB
    assert [span for _, wanted in groups for span in wanted] == spans
    assert len(groups) == 7  # 16 ranges span 15 MiB and a byte


def test_a_large_range_is_read_by_itself() -> None:
    """It is wanted whole, and what lies in it comes with it."""
    groups = grouped([(0, 40 * MIB), (5, 6), (40 * MIB, 40 * MIB + 1)])
    assert [group.span for group in groups] == [(0, 40 * MIB), (40 * MIB, 40 * MIB + 1)]
    assert groups[0].wanted == [(0, 40 * MIB), (5, 6)]


def test_every_range_is_in_its_group_once() -> None:
    """Whatever the ranges are; empty ones and repetitions are in none."""
    chosen = random.Random(1)
    for _ in range(200):
        starts = [chosen.randrange(100) for _ in range(10)]
        spans = [(start, start + chosen.randrange(20)) for start in starts]
        groups = grouped(spans, near_bytes=3, most_bytes=25)
        found = sorted(span for _, wanted in groups for span in wanted)
        assert found == sorted({span for span in spans if span[0] < span[1]})
        assert all(start <= first and last <= end for (start, end), wanted in groups for first, last in wanted)
        assert all(end - start <= 25 for (start, end), _ in groups)
