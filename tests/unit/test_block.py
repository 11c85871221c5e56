"""What blocks of memory may hold together, and how they become one."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import pytest

from bulkhaul.engine.messages.memory import in_memory, read_all
from bulkhaul.engine.transfers.block import Block, BlockReader, MemoryBudget, join
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectHead, ObjectRef
from bulkhaul.policy.layout import Layout, Part
from bulkhaul.policy.window import Window
from bulkhaul.wire.values import RemoteObject, Target

HOST = Target("http", "127.0.0.1", 9000, "/bucket/", "us-east-1", fast=True)


class Counting:
    """A dispatcher whose jobs end only when all that may be under way are."""

    def __init__(self, most_in_flight: int) -> None:
        self.machine = SimpleNamespace(window=Window(most_in_flight))
        self.under_way = 0
        self.go_on = asyncio.Event()

    async def run(self, job: Any) -> None:
        """Count a job, and keep it."""
        self.under_way += 1
        await self.go_on.wait()
        job.arrived.set_result({"crc": [0]})


@pytest.mark.parametrize(("most_in_flight", "expected"), [(512, 16), (3, 5)])
def test_a_stream_asks_for_as_many_blocks_as_fit(most_in_flight: int, expected: int) -> None:
    """64 MiB of blocks of 4 MiB are under way, whatever the default number of connections; fewer if fewer may be."""

    async def play() -> None:
        dispatcher = Counting(most_in_flight)
        remote = RemoteObject(ObjectRef("bucket", "key"), ObjectHead("key", 100 * 4 * MIB, '"e"'), HOST)
        reader = BlockReader(dispatcher, remote, Layout(100 * 4 * MIB, 4 * MIB))  # type: ignore[arg-type] # what is used of it
        blocks = reader.in_order()
        first = asyncio.ensure_future(anext(blocks))
        for _ in range(5):  # the tasks have begun by then
            await asyncio.sleep(0)
        assert dispatcher.under_way == expected
        dispatcher.go_on.set()
        (await first).close()
        await blocks.aclose()

    asyncio.run(play())


def test_blocks_are_bounded_by_bytes_and_by_number() -> None:
    """Nobody holds more than the budget together, and everybody gets his turn (I7)."""

    async def play() -> None:
        budget = MemoryBudget(3)
        held = peak_bytes = peak_blocks = blocks = 0

        async def hold(size_bytes: int) -> None:
            nonlocal held, peak_bytes, peak_blocks, blocks
            async with budget.hold(size_bytes):
                held, blocks = held + size_bytes, blocks + 1
                peak_bytes, peak_blocks = max(peak_bytes, held), max(peak_blocks, blocks)
                await asyncio.sleep(0.001)
                held, blocks = held - size_bytes, blocks - 1

        await asyncio.gather(*(hold(size * MIB) for size in (16, 4, 4, 4, 4, 16, 16, 16, 1)))
        assert (peak_bytes <= 64 * MIB, peak_blocks) == (True, 3)

    asyncio.run(play())


def test_a_block_larger_than_the_budget_has_it_alone() -> None:
    """The parts of a giant object may be larger than what is allowed: then there is one at a time."""

    async def play() -> None:
        budget = MemoryBudget(8)
        order: list[str] = []

        async def hold(name: str, size_bytes: int) -> None:
            async with budget.hold(size_bytes):
                order.append(f"{name} begins")
                await asyncio.sleep(0.001)
                order.append(f"{name} ends")

        await asyncio.gather(hold("giant", 1000 * MIB), hold("other", 1000 * MIB))
        assert order == ["giant begins", "giant ends", "other begins", "other ends"]

    asyncio.run(play())


def test_a_cancelled_wait_holds_nothing() -> None:
    """Who is cancelled while he waits for room leaves the room to others."""

    async def play() -> None:
        budget = MemoryBudget(8)

        async def hold(seconds: float) -> None:
            async with budget.hold(300 * MIB):
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


def test_blocks_that_follow_each_other_become_one() -> None:
    """The first one has all bytes then, the others give their memory back; an empty one at the end is none."""
    pieces = [b"first", b"second", b"third", b""]
    blocks, at = [], 0
    for number, piece in enumerate(pieces, 1):
        with in_memory(piece) as fd:
            blocks.append(Block(Part(number, at, at + len(piece)), os.dup(fd)))
        at += len(piece)
    join(blocks)
    assert blocks[0].part == Part(1, 0, at)
    assert read_all(blocks[0].fd) == b"".join(pieces)
    assert [block.fd for block in blocks[1:]] == [-1, -1, -1]
    blocks[0].close()
