"""Listings out of order: sorted on disk where that shows at once, else refused by name; and what is kept on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.errors import OtherError
from bulkhaul.jobs.ordering import in_order
from bulkhaul.jobs.spool import PAGE_ENTRIES, SpooledEntries
from bulkhaul.policy.comparison import Entry

names = st.text(st.sampled_from("ab./0é\uffff😀\n"), min_size=1, max_size=4)


async def ordered(pages: Sequence[Sequence[str]], *, unordered: bool = False) -> list[str]:
    """Return the names of a listing as they are passed on."""

    async def listing() -> AsyncGenerator[list[Entry], None]:
        for page in pages:
            yield [Entry(name, len(name)) for name in page]

    found = [entry async for page in in_order(listing(), "s3://b/", unordered=unordered) for entry in page]
    assert all(entry.size_bytes == len(entry.name) for entry in found)
    return [entry.name for entry in found]


def test_in_order() -> None:
    """What is in order is passed on as it is."""
    assert asyncio.run(ordered([[], ["a.b", "a/b"], [], ["a0b", "é"]])) == ["a.b", "a/b", "a0b", "é"]


@given(st.lists(names, unique=True), st.integers(1, 4))
def test_no_order_at_all(listed: list[str], length: int) -> None:
    """A service that is known for it is sorted by the UTF-8 bytes of names."""
    pages = [listed[start : start + length] for start in range(0, len(listed), length)]
    assert asyncio.run(ordered(pages, unordered=True)) == sorted(listed, key=str.encode)


def test_sorted_if_it_shows_at_once() -> None:
    """A first page out of order has all of the listing sorted before anything of it is passed on."""
    many = [f"{number:05}" for number in range(2 * PAGE_ENTRIES + 1)]
    assert asyncio.run(ordered([["b", "a"], many[::-1], ["0"]])) == ["0", *many, "a", "b"]


@pytest.mark.parametrize("later", [["a"], ["b"], ["d", "c"]])
def test_refused_if_it_shows_later(later: list[str]) -> None:
    """What was passed on cannot be taken back, so the listing is refused with the two names."""
    with pytest.raises(OtherError, match=f"'{later[-1]}' after"):
        asyncio.run(ordered([["b"], later]))


@given(st.lists(st.builds(Entry, names, st.integers(0, 9), st.none() | st.integers(0, 2**62), etag=names)))
def test_a_spool_gives_back_what_it_got(entries: list[Entry]) -> None:
    """Entries come back as they were, in their order."""
    spool = SpooledEntries()
    try:
        for entry in entries:
            spool.add(entry)
        assert [entry for page in spool.pages() for entry in page] == entries
        assert (spool.count, spool.size_bytes) == (len(entries), sum(entry.size_bytes for entry in entries))
    finally:
        spool.close()
