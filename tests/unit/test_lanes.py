"""Lanes of a worker: as many as allowed at any moment, each lease once, and no row of a batch left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine

import pytest

from bulkhaul.engine.worker.lanes import Lanes, Shared


class Batch:
    """Some rows; a lane takes one after the other."""

    def __init__(self, rows: int, *, single: bool = False) -> None:
        self.rows = rows
        self.single = single
        self.lanes = self.most = 0

    @property
    def waits(self) -> bool:
        """Whether rows are left."""
        return self.rows > 0


class Played:
    """Lanes whose work takes some turns of the loop.

    Attributes:
        most: lanes that were busy at the same time since it was last set.
        ended: leases, in order of their ends.
    """

    def __init__(self, turns: int = 3) -> None:
        self.lanes: Lanes[int | Batch] = Lanes(self._serve, self._start, shared=_batch)
        self.busy = self.most = 0
        self.ended: list[int] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._turns = turns

    def _start(self, lane: Coroutine[None, None, None]) -> None:
        self.tasks.add(asyncio.get_running_loop().create_task(lane))

    async def _serve(self, work: int | Batch) -> None:
        self.busy += 1
        try:
            if isinstance(work, int):
                await self._take_turns()
                self.ended.append(work)
                return
            work.lanes += 1
            work.most = max(work.most, work.lanes)
            while work.waits and not self.lanes.crowded():
                work.rows -= 1
                await self._take_turns()
                self.ended.append(-1)
            work.lanes -= 1
        finally:
            self.busy -= 1

    async def _take_turns(self) -> None:
        self.most = max(self.most, self.busy)
        for _ in range(random.Random(len(self.ended)).randint(1, self._turns)):
            await asyncio.sleep(0)

    async def until_idle(self) -> None:
        """Wait until all lanes have ended."""
        async with asyncio.timeout(5):
            while ended := [task for task in self.tasks if not task.done()]:
                await asyncio.wait(ended)
        for task in self.tasks:
            task.result()


def _batch(work: int | Batch) -> Shared | None:
    return work if isinstance(work, Batch) else None


async def settle() -> None:
    """Let a few turns of the loop pass."""
    for _ in range(12):
        await asyncio.sleep(0)


def test_leases_are_served_in_order_and_no_more_at_a_time_than_allowed() -> None:
    """Three lanes serve twenty leases, each once; without any lane nothing is begun."""

    async def story() -> None:
        played = Played(turns=1)
        for lease in range(20):
            played.lanes.put(lease)
        assert not played.tasks
        played.lanes.allow(3)
        await played.until_idle()
        assert played.ended == list(range(20))
        assert played.most == 3

    asyncio.run(story())


@pytest.mark.parametrize("batches", [False, True])
def test_lanes_that_are_too_many_end_after_their_lease_or_their_row(batches: bool) -> None:
    """After a shrink the count falls to what is allowed, and everything is done all the same."""

    async def story() -> None:
        played = Played()
        for lease in range(300):
            played.lanes.put(Batch(10) if batches else lease)
        played.lanes.allow(8)
        await settle()
        assert played.most == 8
        played.lanes.allow(2)
        await settle()
        played.most = 0
        await settle()
        assert played.most == 2
        played.lanes.allow(5)
        await settle()
        played.most = 0
        await played.until_idle()
        assert played.most == 5
        assert len(played.ended) == (3000 if batches else 300)

    asyncio.run(story())


def test_lanes_join_and_leave_a_batch_that_is_under_way() -> None:
    """A batch that began with one lane has as many as are allowed a moment later, more or fewer."""

    async def story() -> None:
        played, batch = Played(), Batch(200)
        played.lanes.allow(1)
        played.lanes.put(batch)
        await settle()
        assert batch.most == 1
        played.lanes.allow(6)
        await settle()
        assert batch.lanes == 6
        played.lanes.allow(2)
        await settle()
        assert batch.lanes == 2
        assert batch.waits
        await played.until_idle()
        assert (batch.most, batch.rows, len(played.ended)) == (6, 0, 200)

    asyncio.run(story())


def test_a_single_batch_has_one_lane_and_holds_nobody_up() -> None:
    """Rows that are to go out one by one do, while the other lanes serve what waits behind them."""

    async def story() -> None:
        played, batch = Played(), Batch(30, single=True)
        played.lanes.allow(4)
        played.lanes.put(batch)
        for lease in range(10):
            played.lanes.put(lease)
        await played.until_idle()
        assert (batch.most, batch.rows) == (1, 0)
        assert sorted(played.ended) == [-1] * 30 + list(range(10))

    asyncio.run(story())


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_allowed_meanwhile_nothing_is_lost(seed: int) -> None:
    """The number changes at every moment, up and down: each lease and each row is done once."""

    async def story() -> None:
        rng, played = random.Random(seed), Played()
        rows = leases = 0
        for _ in range(200):
            match rng.randrange(4):
                case 0:
                    played.lanes.allow(rng.randint(1, 6))
                case 1:
                    played.lanes.put(leases)
                    leases += 1
                case 2:
                    count = rng.randint(1, 9)
                    rows += count
                    played.lanes.put(Batch(count, single=rng.random() < 0.3))
                case _:
                    await asyncio.sleep(0)
        played.lanes.allow(2)
        await played.until_idle()
        assert sorted(played.ended) == [-1] * rows + list(range(leases))

    asyncio.run(story())
