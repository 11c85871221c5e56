"""What blocks of memory may hold together."""

from __future__ import annotations

import asyncio

from bulkhaul.engine.transfers.block import MemoryBudget


def test_blocks_are_bounded_by_bytes_and_by_number() -> None:
    """Nobody holds more than the budget together, and everybody gets his turn (I7)."""

    async def play() -> None:
        budget = MemoryBudget(100, 3)
        held = peak_bytes = peak_blocks = blocks = 0

        async def hold(size_bytes: int) -> None:
            nonlocal held, peak_bytes, peak_blocks, blocks
            async with budget.hold(size_bytes):
                held, blocks = held + size_bytes, blocks + 1
                peak_bytes, peak_blocks = max(peak_bytes, held), max(peak_blocks, blocks)
                await asyncio.sleep(0.001)
                held, blocks = held - size_bytes, blocks - 1

        await asyncio.gather(*(hold(size) for size in (40, 10, 10, 10, 10, 60, 60, 100, 1)))
        assert (peak_bytes <= 100, peak_blocks) == (True, 3)

    asyncio.run(play())


def test_a_block_larger_than_the_budget_has_it_alone() -> None:
    """The parts of a giant object may be larger than what is allowed: then there is one at a time."""

    async def play() -> None:
        budget = MemoryBudget(100, 8)
        order: list[str] = []

        async def hold(name: str, size_bytes: int) -> None:
            async with budget.hold(size_bytes):
                order.append(f"{name} begins")
                await asyncio.sleep(0.001)
                order.append(f"{name} ends")

        await asyncio.gather(hold("giant", 1000), hold("other", 1000))
        assert order == ["giant begins", "giant ends", "other begins", "other ends"]

    asyncio.run(play())


def test_a_cancelled_wait_holds_nothing() -> None:
    """Who is cancelled while he waits for room leaves the room to others."""

    async def play() -> None:
        budget = MemoryBudget(100, 8)

        async def hold(seconds: float) -> None:
            async with budget.hold(100):
                await asyncio.sleep(seconds)

        first = asyncio.create_task(hold(0.01))
        await asyncio.sleep(0)
        second = asyncio.create_task(hold(60))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait([first, second])
        async with asyncio.timeout(1):
            await hold(0)

    asyncio.run(play())
