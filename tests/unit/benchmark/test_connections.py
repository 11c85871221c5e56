"""The search for how many connections suit ends where more of them bring no more, and takes the fewest of those."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bulkhaul.policy.connections import Climb


def climbed(rate: Callable[[int], float]) -> tuple[int, list[int]]:
    """Return the number that was found, and all that were tried."""
    climb, tried = Climb(), []
    while (connections := climb.next()) is not None:
        tried.append(connections)
        climb.saw(connections, rate(connections))
    return climb.best, tried


@pytest.mark.parametrize(("full", "expected"), [(8, 8), (60, 64), (300, 512), (1e9, 512)])
def test_until_something_is_full(full: float, expected: int) -> None:
    """Each connection brings as much as another, until all together bring no more."""
    best, _ = climbed(lambda connections: min(connections, full))
    assert best == expected


def test_the_search_ends_soon() -> None:
    """Two numbers beyond the best are enough."""
    _, tried = climbed(lambda connections: min(connections, 32))
    assert tried == [8, 16, 32, 64, 128]


def test_a_bad_moment_is_no_end() -> None:
    """One number that brought little, by chance, does not end it."""
    best, _ = climbed(
        lambda connections: connections * (0.5 if connections == 32 else 1) if connections <= 128 else 128
    )
    assert best == 128


def test_a_store_that_gets_slower() -> None:
    """More than it likes is not chosen."""
    best, _ = climbed(lambda connections: connections if connections <= 32 else 1000 / connections)
    assert best == 32
