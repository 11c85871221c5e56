"""Joins the pages of two sides by name, in memory of a page or two of each, whatever their number.

    source       a  b     d ─┐
                             ├─▶ (a, –) (b, b) (–, c) (d, d)      in ascending order of names
    destination     b  c  d ─┘

Names ascend by their UTF-8 bytes, which is the order of Python's strings, too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """What is joined."""

    @property
    def name(self) -> str:
        """By which it is joined."""
        ...


N = TypeVar("N", bound=Named)

Pair = tuple[N | None, N | None]
"""What the source and the destination have of one name, None for nothing."""


async def merge_join(
    source: AsyncIterator[Sequence[N]], destination: AsyncIterator[Sequence[N]]
) -> AsyncGenerator[list[Pair[N]], None]:
    """Yield the pairs of all names of both sides, as soon as their pages tell them.

    Args:
        source, destination: pages in strictly ascending order of names.

    Raises:
        Whatever a side raises.
    """
    ours, theirs = _Reader(source), _Reader(destination)
    while True:
        await ours.fill()
        await theirs.fill()
        if ours.ended and theirs.ended:
            return
        pairs, ours.at, theirs.at = join(
            (ours.page, ours.at), (theirs.page, theirs.at), source_ended=ours.ended, destination_ended=theirs.ended
        )
        yield pairs


def join(
    source: tuple[Sequence[N], int],
    destination: tuple[Sequence[N], int],
    *,
    source_ended: bool,
    destination_ended: bool,
) -> tuple[list[Pair[N]], int, int]:
    """Join two pages, each from a place on, until one of them is used up; return the pairs and both new places.

    Args:
        source_ended, destination_ended: there are no more pages, so that what the other side has is alone.
    """
    (ours, i), (theirs, j) = source, destination
    ours_end, theirs_end = len(ours), len(theirs)
    pairs: list[Pair[N]] = []
    add = pairs.append
    while i < ours_end and j < theirs_end:
        one, other = ours[i], theirs[j]
        name, theirs_name = one.name, other.name
        if name == theirs_name:
            add((one, other))
            i += 1
            j += 1
        elif name < theirs_name:
            add((one, None))
            i += 1
        else:
            add((None, other))
            j += 1
    if destination_ended:
        pairs += [(one, None) for one in ours[i:]]
        i = ours_end
    if source_ended:
        pairs += [(None, other) for other in theirs[j:]]
        j = theirs_end
    return pairs, i, j


class _Reader(Generic[N]):
    """The page of one side that is being read. ``ended``: there is none any more."""

    def __init__(self, pages: AsyncIterator[Sequence[N]]) -> None:
        self._pages = pages
        self.page: Sequence[N] = ()
        self.at = 0
        self.ended = False

    async def fill(self) -> None:
        """Have something to read, unless the side has ended."""
        while self.at == len(self.page) and not self.ended:
            try:
                self.page, self.at = await anext(self._pages), 0
            except StopAsyncIteration:
                self.page, self.at, self.ended = (), 0, True
