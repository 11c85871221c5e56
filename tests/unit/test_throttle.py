"""The rate that several share: nobody gets ahead of it, and only a short delay is made up for."""

from __future__ import annotations

import pytest

from bulkhaul.wire import throttle
from bulkhaul.wire.throttle import Throttle


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock that throttles go by."""
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


def test_those_who_share_wait_one_after_the_other(clock: Clock) -> None:
    """1000 bytes a second: each half of them takes half a second, whoever moved it."""
    shared = Throttle(1000, 1)
    assert [shared.moved(500) for _ in range(3)] == [0.5, 1.0, 1.5]
    clock.now_s += 1.25
    assert shared.moved(500) == 0.75


def test_little_is_saved_up(clock: Clock) -> None:
    """After an hour without a byte no more than a quarter of a second's bytes go at once."""
    shared = Throttle(1000, 1)
    shared.moved(1000)
    clock.now_s += 3600
    assert [shared.moved(250), shared.moved(250)] == [0, 0.25]


def test_a_short_delay_is_made_up_for(clock: Clock) -> None:
    """Who comes 10 ms late, again and again, still moves at the rate."""
    shared = Throttle(1000, 1)
    began_s = clock.now_s
    for _ in range(100):
        clock.now_s += shared.moved(50) + 0.01
    assert 4.9 < clock.now_s - began_s < 5.1


@pytest.mark.parametrize("bytes_per_s", [64 * 1024, 10**9])
@pytest.mark.parametrize("connections", [1, 4, 32])
def test_pieces_are_short(bytes_per_s: int, connections: int) -> None:
    """When everybody has moved a piece, it is everybody's turn again after a second at most."""
    shared = Throttle(bytes_per_s, connections)
    waits_s = [shared.moved(shared.piece_bytes) for _ in range(connections)]
    assert 0 < waits_s[-1] <= 1.01
    assert waits_s[0] < 0.1
