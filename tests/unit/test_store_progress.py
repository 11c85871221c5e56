"""How totals become the differences that a progress callback gets, also where the callback fails."""

from __future__ import annotations

import logging

import pytest

from bulkhaul.store.progress import Deltas


class Fragile:
    """A progress callback that raises once, and keeps what it was told otherwise."""

    def __init__(self, *, fails_at: int) -> None:
        self.seen: list[int] = []
        self._left = fails_at

    def __call__(self, delta_bytes: int) -> None:
        self._left -= 1
        if self._left == 0:
            raise ValueError("the screen is gone")
        self.seen.append(delta_bytes)


def test_what_a_callback_did_not_take_is_told_again() -> None:
    """C48: a call that raised told nothing, and the sum is still the size."""
    callback = Fragile(fails_at=2)
    deltas = Deltas(callback)
    deltas.reached(10)
    with pytest.raises(ValueError, match="screen"):
        deltas.reached(30)
    deltas.reached(40)
    deltas.end(50)
    assert callback.seen == [10, 30, 10]


def test_a_callback_that_fails_at_the_end_fails_no_transfer(caplog: pytest.LogCaptureFixture) -> None:
    """C48: the object is in place by then: a warning with the exception is logged, and nothing raised."""
    callback = Fragile(fails_at=1)
    with caplog.at_level(logging.WARNING, "bulkhaul.store.progress"):
        Deltas(callback).end(50)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert (record.levelno, callback.seen) == (logging.WARNING, [])
