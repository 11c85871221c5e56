"""What hypothesis draws from, where several tests draw the same."""

from __future__ import annotations

from hypothesis import strategies as st

from bulkhaul.model.limits import GIB, KIB, MIB
from bulkhaul.policy.layout import Layout, Part, plan_download

KEY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""Any key that UTF-8 can write."""

HOSTILE_TEXT = st.text(st.one_of(st.sampled_from(list("/.\\\0~ a")), st.characters()), max_size=24)
"""Keys that try to become something else than a name: slashes, dots, NULs, lone surrogates."""

SIZES = st.one_of(
    st.integers(0, 64 * KIB),
    st.integers(0, 64 * MIB),
    st.integers(0, 5 * 1024 * GIB),
)
"""Object sizes up to the 5 TiB of an S3 object, small ones often."""


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Return a layout of few parts, as the transfer machine meets them: empty, whole, large, small, irregular."""
    kind = draw(st.sampled_from(["empty", "whole", "large", "large", "small", "small", "irregular"]))
    if kind == "empty":
        return plan_download(0)
    if kind == "whole":
        return plan_download(draw(st.integers(1, 100 * KIB)))
    if kind == "large":
        return plan_download(draw(st.integers(5 * MIB, 20 * MIB)), part_size_bytes=4 * MIB)
    if kind == "small":
        return plan_download(draw(st.integers(1, 12 * KIB)), part_size_bytes=KIB)
    cuts = draw(st.sets(st.integers(1, 9 * MIB - 1), min_size=1, max_size=4))
    return plan_download(9 * MIB, part_size_bytes=4 * MIB, boundaries=(0, *sorted(cuts)))


def parts_of(layout: Layout) -> list[Part]:
    """Return every part of a layout, in order."""
    return [layout[index] for index in range(len(layout))]
