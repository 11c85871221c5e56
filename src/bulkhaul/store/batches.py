"""Takes what a caller gives one by one, in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], count: int) -> Iterator[list[T]]:
    """Yield the items in lists of ``count``, the last one shorter; no more is taken than is in the list.

    >>> list(batched("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    left = iter(items)
    while batch := list(islice(left, count)):
        yield batch
