"""Pieces of one job side by side: all are done, or one error comes out when every other one has let go."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.engine.loop.tasks import all_or_none
from tests.unit.peer import run


class BrokenError(Exception):
    """What a piece raises."""


class Pieces:
    """Counts what is under way, and what was done or let go of."""

    def __init__(self, *, breaks: int = -1, turns: int = 3) -> None:
        self.running = self.most = 0
        self.done: list[int] = []
        self.let_go: list[int] = []
        self._breaks = breaks
        self._turns = turns

    async def work(self, item: int) -> None:
        """Take a few turns of the loop, and as many again to let go."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(self._turns + item % 3):
                await asyncio.sleep(0)
            if item == self._breaks:
                raise BrokenError(item)
            self.done.append(item)
        except asyncio.CancelledError:
            for _ in range(5):
                await asyncio.sleep(0)
            self.let_go.append(item)
            raise
        finally:
            self.running -= 1


@given(count=st.integers(0, 40), at_once=st.integers(1, 10))
def test_everything_is_done_a_few_at_once(count: int, at_once: int) -> None:
    """Each item is worked on once, and never more than ``at_once`` are under way."""

    async def play() -> None:
        pieces = Pieces()
        await all_or_none(pieces.work, range(count), at_once=at_once)
        assert sorted(pieces.done) == list(range(count))
        assert pieces.most == min(count, at_once)

    run(play)


@given(count=st.integers(1, 30), at_once=st.integers(1, 8), data=st.data())
def test_one_failure_ends_all(count: int, at_once: int, data: st.DataObject) -> None:
    """When the error comes out nothing is under way any more, and no further item was begun after it."""
    breaks = data.draw(st.integers(0, count - 1))

    async def play() -> None:
        pieces = Pieces(breaks=breaks)
        with pytest.raises(BrokenError, match=str(breaks)):
            await all_or_none(pieces.work, range(count), at_once=at_once)
        assert pieces.running == 0
        assert len(pieces.done) + len(pieces.let_go) < count
        assert max([*pieces.done, *pieces.let_go, breaks]) < breaks + 2 * at_once + 1

    run(play)


def test_items_are_taken_as_they_are_needed() -> None:
    """A plan of many items is not unrolled ahead of the work."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    async def play() -> None:
        async def work(item: int) -> None:
            assert len(taken) <= item + 5
            await asyncio.sleep(0)

        await all_or_none(work, items(), at_once=3)

    run(play)
    assert len(taken) == 100


@pytest.mark.parametrize("times", [1, 4])
def test_a_cancellation_waits_until_all_have_let_go(times: int) -> None:
    """However often the whole is cancelled, it ends when no piece is under way any more."""

    async def play() -> None:
        pieces = Pieces(turns=50)
        task = asyncio.create_task(all_or_none(pieces.work, range(9), at_once=3))
        for _ in range(4):
            await asyncio.sleep(0)
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (pieces.running, sorted(pieces.let_go), pieces.done) == (0, [0, 1, 2], [])

    run(play)


def test_failures_of_the_others_are_no_news() -> None:
    """Of several failures the first comes out, and the others are not complained about."""

    async def play() -> None:
        shouted: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: shouted.append(context))

        async def work(item: int) -> None:
            raise BrokenError(item)

        for at_once in (2, 5):
            with contextlib.suppress(BrokenError):
                await all_or_none(work, range(5), at_once=at_once)
            gc.collect()  # the loop complains when a task that nobody looked at goes
            await asyncio.sleep(0)
        assert shouted == []

    run(play)
