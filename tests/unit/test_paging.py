"""Listings that ask ahead: the next page is asked for on an early token, and only the whole page decides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import msgspec
import pytest

from bulkhaul.engine.loop.last_resort import LastResort
from bulkhaul.engine.messages.requests import Answer, Ask, Early, ListPage
from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.pool.dispatcher import Dispatcher
from bulkhaul.engine.pool.requests import Desk
from bulkhaul.errors import AccessDenied, OtherError
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.settings import Settings, Timeouts
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.transfer import TransferMachine

Pages = AsyncGenerator[list[ObjectHead], None]


class Workers:
    """Two workers that note what they are asked; a test says what they answer, and when.

    Attributes:
        asked: (worker, token, number of the question), in order.
    """

    def __init__(self) -> None:
        timeouts = Timeouts()
        self.machine = TransferMachine(workers=2, max_in_flight=2, timeouts=timeouts, rng=random.Random(1))
        self.last_death = "SIGKILL"
        self.asked: list[tuple[int, str, int]] = []
        self.last_resort = LastResort(lambda error: pytest.fail(str(error)))
        self.desk = Desk(Settings(timeouts=timeouts), cast("Dispatcher", self))
        self.on_answer: Callable[[Answer | Early], None]
        self.on_worker: Callable[[int, str], None]
        for worker in (1, 2):
            self.on_worker(worker, "usable")

    def ask(self, worker: int, message: Ask, _descriptors: list[int]) -> None:
        """Note a question."""
        assert isinstance(message.request, ListPage)
        self.asked.append((worker, message.request.token, message.ask))

    @property
    def tokens(self) -> list[str]:
        """The tokens that pages were asked for with, in order."""
        return [token for _, token, _ in self.asked]

    async def tell(self, nth: int, token: str) -> None:
        """Tell early where the page after the nth one that was asked for begins."""
        await self._say(Early(self.asked[nth][2], token))

    async def give(self, nth: int, keys: str, token: str = "") -> None:
        """Answer the nth question with a whole page: a key a letter."""
        page = msgspec.msgpack.encode(ObjectsPage(tuple(ObjectHead(key, 1) for key in keys), token))
        number, half = self.asked[nth][2], len(page) // 2
        await self._say(Answer(number, last=False, piece=page[:half]))
        await self._say(Answer(number, piece=page[half:]))

    async def refuse(self, nth: int) -> None:
        """Answer the nth question with an error."""
        await self._say(Answer(self.asked[nth][2], error=ErrorInfo("AccessDenied", "no", status=403)))

    async def kill(self, worker: int) -> None:
        """Let a worker die with whatever it was asked."""
        self.on_worker(worker, "lost")
        await settle()

    async def _say(self, answer: Answer | Early) -> None:
        self.on_answer(answer)
        await settle()


async def settle() -> None:
    """Let everything go on as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def begun(pages: Pages) -> asyncio.Task[str]:
    """Wait for the next page in a task, which returns its keys."""

    async def keys() -> str:
        return "".join(one.key for one in await anext(pages))

    task = asyncio.create_task(keys())
    await settle()
    return task


def run(story: Callable[[Workers, Pages], Awaitable[None]]) -> None:
    """Tell a story of a listing that asks ahead, and see that nothing of it is left."""

    async def told() -> None:
        workers = Workers()
        pages = Control(workers.desk).pages("bucket", "", ahead=True)
        try:
            async with asyncio.timeout(10):
                await story(workers, pages)
        finally:
            await pages.aclose()
        assert workers.desk._open == {}
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(told())


def test_the_next_page_is_asked_for_before_the_last_one_has_come() -> None:
    """An early token asks another worker at once; the pages come in order all the same, whichever is there first."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        assert [(worker, token) for worker, token, _ in workers.asked] == [(1, ""), (2, "two")]
        await workers.give(1, "cd")
        assert not first.done()
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        assert await (await begun(pages)) == "cd"
        with pytest.raises(StopAsyncIteration):
            await anext(pages)
        assert workers.tokens == ["", "two"]

    run(story)


def test_pages_without_early_tokens_are_asked_for_when_the_last_one_has_come() -> None:
    """A service whose tokens cannot be seen early is listed all the same, one page ahead of the caller."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        assert workers.tokens == [""]
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        assert workers.tokens == ["", "two"]
        await workers.give(1, "cd")
        assert await (await begun(pages)) == "cd"

    run(story)


def test_no_more_than_one_page_waits_for_the_caller() -> None:
    """While the caller has a page in hand one more is fetched, and the one after that is not asked for."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        await workers.tell(1, "three")
        await workers.give(1, "cd", "three")
        assert workers.tokens == ["", "two"]
        assert await (await begun(pages)) == "cd"
        assert workers.tokens == ["", "two", "three"]

    run(story)


def test_a_later_page_that_fails_fails_the_listing_in_its_turn() -> None:
    """The pages before it are yielded first, even if its failure was there before them."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.refuse(1)
        assert not first.done()
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        with pytest.raises(AccessDenied):
            await anext(pages)

    run(story)


def test_a_page_that_fails_takes_the_one_asked_ahead_with_it() -> None:
    """After a failure nothing is waited for any more."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.refuse(0)
        with pytest.raises(AccessDenied):
            await first
        assert workers.tokens == ["", "two"]

    run(story)


def test_a_repeated_token_is_noticed() -> None:
    """A listing that goes on where it went on before ends in an error, also if the token was told early."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        second = await begun(pages)
        await workers.tell(1, "two")
        await workers.give(1, "cd", "two")
        with pytest.raises(OtherError, match="repeats its continuation token"):
            await second

    run(story)


@pytest.mark.parametrize("again", ["two", "elsewhere", ""], ids=["the same token", "another token", "the end"])
def test_a_worker_that_dies_after_an_early_token(again: str) -> None:
    """The page is asked for again, and what it says then decides: no key comes twice, and none is left out."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers._say(Answer(workers.asked[0][2], last=False, piece=b"\x83"))
        await workers.kill(1)
        assert [(worker, token) for worker, token, _ in workers.asked] == [(1, ""), (2, "two"), (2, "")]
        if again:
            await workers.tell(2, again)
        await workers.give(2, "ab", again)
        assert await first == "ab"
        follows = {"two": 1, "elsewhere": 3}
        if again:
            assert workers.tokens[follows[again]] == again
            await workers.give(follows[again], "cd")
            assert await (await begun(pages)) == "cd"
        with pytest.raises(StopAsyncIteration):
            await anext(pages)
        assert workers.tokens == ["", "two", ""] + ["elsewhere"] * (again == "elsewhere")

    run(story)


def test_a_listing_that_is_given_up_leaves_nothing() -> None:
    """Whoever stops in the middle waits for no page that was asked ahead."""

    async def story(workers: Workers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        late: Any = workers.asked[1][2]
        await pages.aclose()
        await workers._say(Answer(late))

    run(story)
