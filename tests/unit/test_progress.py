"""How totals become the differences that a progress callback gets, also where the callback fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pytest

from bulkhaul.engine.loop.callbacks import original
from bulkhaul.engine.loop.progress import Deltas, telling
from bulkhaul.model.errors import OtherError
from bulkhaul.model.results import TransferResult


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
    with caplog.at_level(logging.WARNING, "bulkhaul"):
        Deltas(callback).end(50)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
    assert (record.levelno, callback.seen) == (logging.WARNING, [])


def test_a_callback_that_ends_the_program_at_the_end() -> None:
    """On the loop it is an error that carries the original: a loop that got SystemExit itself would end."""

    async def transfer(on_moved: Callable[[int], None] | None) -> TransferResult:
        assert on_moved is not None
        on_moved(0)
        return TransferResult(source="s", destination="d", bucket="b", key="k", size=7)

    def ends(delta_bytes: int) -> None:
        raise SystemExit(delta_bytes)

    with pytest.raises(OtherError) as caught:
        asyncio.run(telling(ends, transfer))
    assert str(original(caught.value)) == "7"
