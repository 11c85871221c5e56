"""The join of two sides: each name once, in order, with what both sides have of it, however the pages are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bulkhaul.jobs.merge_join import merge_join


class One(msgspec.Struct, frozen=True):
    """Something with a name, and the side that it is of."""

    name: str
    side: str


names = st.text(st.sampled_from("ab./0é\uffff😀"), min_size=1, max_size=4)


async def paged(side: str, found: set[str], cuts: Sequence[int]) -> AsyncGenerator[list[One], None]:
    """Yield the names of a side in the order of their bytes, in pages of these lengths; the last one has the rest."""
    entries = [One(name, side) for name in sorted(found, key=str.encode)]
    for cut in cuts:
        yield entries[:cut]
        entries = entries[cut:]
    yield entries


async def joined(source: AsyncGenerator[list[One], None], destination: AsyncGenerator[list[One], None]) -> list[str]:
    """Return each pair as ``name:sides``."""
    told = []
    async for pairs in merge_join(source, destination):
        for one, other in pairs:
            assert one is None or one.side == "s"
            assert other is None or other.side == "d"
            there = one or other
            assert there is not None
            told.append(f"{there.name}:{'s' * (one is not None)}{'d' * (other is not None)}")
    return told


@given(st.sets(names), st.sets(names), st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 3), max_size=6))
@example({"a.b", "a/b", "a0b", "a", "é", "\uffff", "😀"}, {"a/b", "a", "😀"}, [1, 1], [])
@example({"a"}, set(), [], [])
@example(set(), {"a"}, [0], [0, 0])
def test_as_a_dictionary_would(
    source: set[str], destination: set[str], source_cuts: list[int], destination_cuts: list[int]
) -> None:
    """The pairs are those of two sets, in the order of the UTF-8 bytes of their names."""
    expected = [
        f"{name}:{'s' * (name in source)}{'d' * (name in destination)}"
        for name in sorted(source | destination, key=str.encode)
    ]
    pages = paged("s", source, source_cuts), paged("d", destination, destination_cuts)
    assert asyncio.run(joined(*pages)) == expected


def test_pairs_come_before_the_listings_end() -> None:
    """What the first pages tell is told before the second ones are asked for."""

    async def first_only(side: str) -> AsyncGenerator[list[One], None]:
        yield [One("a", side), One("b", side)]
        raise AssertionError("asked for more")

    async def one_page() -> int:
        async for pairs in merge_join(first_only("s"), first_only("d")):
            return len(pairs)
        return 0

    assert asyncio.run(one_page()) == 2


def test_a_side_that_fails() -> None:
    """A side that cannot be listed to its end is an error, never an end."""

    async def broken() -> AsyncGenerator[list[One], None]:
        yield [One("a", "d")]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        asyncio.run(joined(paged("s", {"a", "b"}, []), broken()))
