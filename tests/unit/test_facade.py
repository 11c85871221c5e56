"""How the items of an async generator reach a caller without an event loop: in batches, at once, all of them."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import get_type_hints

import pytest

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.facade import Engine
from bulkhaul.engine.loop import handover
from bulkhaul.engine.loop.handover import READ_AHEAD, Driven
from bulkhaul.model.objects import ObjectHead


def batches(items: AsyncGenerator[int, None], *, most: int = 100) -> list[list[int]]:
    """Take all there is, and return what each time brought."""

    async def run() -> list[list[int]]:
        found: list[list[int]] = []
        async with Driven(items) as take:
            while len(found) < most and (some := await take()):
                found.append(some)
        return found

    return asyncio.run(run())


async def quick(count: int) -> AsyncGenerator[int, None]:
    """Yield without a pause."""
    for number in range(count):
        yield number


def test_quick_generator_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is full goes at once: a listing is not slowed down to one batch in each time of lingering."""
    monkeypatch.setattr(handover, "LINGER_S", 3600.0)
    began_s = time.monotonic()
    found = batches(quick(10 * READ_AHEAD + 1))
    assert [len(some) for some in found] == [READ_AHEAD] * 10 + [1]
    assert [number for some in found for number in some] == list(range(10 * READ_AHEAD + 1))
    assert time.monotonic() - began_s < 60


def test_few_items_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes while an item lingers goes along with it; the end of the generator ends the lingering."""
    monkeypatch.setattr(handover, "LINGER_S", 3600.0)

    async def slow() -> AsyncGenerator[int, None]:
        for number in range(3):
            await asyncio.sleep(0.01)
            yield number

    assert batches(slow()) == [[0, 1, 2]]


def test_item_does_not_wait_for_the_next() -> None:
    """A generator that pauses holds nothing back."""

    async def one_then_none() -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.sleep(3600)
        yield 2

    assert batches(one_then_none(), most=1) == [[1]]


@pytest.mark.parametrize("count", [0, 1, READ_AHEAD, READ_AHEAD + 1])
def test_error_comes_after_the_items(count: int) -> None:
    """What was made before a failure reaches the caller first."""

    async def failing() -> AsyncGenerator[int, None]:
        for number in range(count):
            yield number
        raise ValueError("broken")

    async def run(told: Callable[[int], None]) -> None:
        async with Driven(failing()) as take:
            while some := await take():
                told(len(some))

    came: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(run(came.append))
    assert sum(came) == count


def test_generator_that_nobody_takes_from_waits() -> None:
    """Memory is bounded: no more is made than the read-ahead holds, and leaving closes the generator."""
    made: list[int] = []
    closed: list[bool] = []
    full = asyncio.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                made.append(len(made))
                if len(made) == 2 * READ_AHEAD:
                    full.set()
                yield made[-1]
        finally:
            closed.append(True)

    async def run() -> None:
        async with Driven(endless()) as take:
            await take()
            await full.wait()
            await asyncio.sleep(0.05)

    asyncio.run(run())
    assert (len(made), closed) == (2 * READ_AHEAD, [True])


def test_every_operation_has_a_twin() -> None:
    """What ``AsyncEngine`` offers to await or to iterate over, ``Engine`` offers blocking, with the same parameters.

    What it returns is an iterator for ``for``, and so say ``help`` and type hints.
    """
    methods = {
        name: method
        for name, method in inspect.getmembers(AsyncEngine, inspect.isfunction)
        if not name.startswith("_")
        and (inspect.iscoroutinefunction(method) or method.__annotations__["return"].startswith("AsyncGenerator"))
    }
    assert {"download", "upload_many", "head", "list", "delete_many"} <= set(methods)
    for name, method in methods.items():
        twin = getattr(Engine, name)
        asked, answers = inspect.signature(method), inspect.signature(twin)
        assert answers.parameters == asked.parameters, name
        if inspect.isasyncgenfunction(method) or asked.return_annotation.startswith("AsyncGenerator"):
            item = asked.return_annotation.removeprefix("AsyncGenerator[").removesuffix(", None]")
            assert answers.return_annotation == f"Iterator[{item}]", name
        else:
            assert answers == asked, name
        assert not inspect.iscoroutinefunction(twin), name


def test_type_hints_of_what_iterates_are_those_of_iterators() -> None:
    """As ``typing.get_type_hints`` and the reference evaluate them."""
    assert get_type_hints(Engine.list)["return"] == Iterator[ObjectHead]
    assert get_type_hints(Engine.list_with_delimiter)["return"] == Iterator[ObjectHead | str]
    assert get_type_hints(AsyncEngine.list)["return"] == AsyncGenerator[ObjectHead, None]
