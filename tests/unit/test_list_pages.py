"""Listings by one stream that ask ahead: the next page is asked for on an early token, the whole page decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from bulkhaul.engine.messages.requests import Answer, Early, ListPage
from bulkhaul.engine.operations.list_pages import each_of, listed_pages
from bulkhaul.errors import AccessDenied, OtherError
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from tests.unit.workers import Workers, settle

Pages = AsyncGenerator[list[ObjectHead], None]


class Pagers(Workers):
    """Workers that are asked for pages."""

    @property
    def pages(self) -> list[tuple[int, str]]:
        """(worker, token) of the pages that were asked for, in order."""
        requests = [(worker, message.request) for worker, message in self.asked]
        return [(worker, request.token) for worker, request in requests if isinstance(request, ListPage)]

    @property
    def tokens(self) -> list[str]:
        """The tokens that pages were asked for with, in order."""
        return [token for _, token in self.pages]

    async def tell(self, nth: int, token: str) -> None:
        """Tell early where the page after the nth one that was asked for begins."""
        request = self.asked[nth][1].request
        assert isinstance(request, ListPage)
        assert request.early
        self.say(Early(self.asked[nth][1].ask, token))
        await settle()

    async def give(self, nth: int, keys: str, token: str = "") -> None:
        """Answer the nth request with a whole page: a key a letter."""
        self.answer(nth, ObjectsPage(tuple(ObjectHead(key, 1) for key in keys), token))
        await settle()

    async def deny(self, nth: int) -> None:
        """Answer the nth request with an error."""
        self.refuse(nth, ErrorInfo("AccessDenied", "no", status=403))
        await settle()

    async def kill(self, worker: int) -> None:
        """Let a worker die with whatever it was asked."""
        self.change(worker, "lost")
        await settle()


async def begun(pages: Pages) -> asyncio.Task[str]:
    """Wait for the next page in a task, which returns its keys."""

    async def keys() -> str:
        return "".join(one.key for one in await anext(pages))

    task = asyncio.create_task(keys())
    await settle()
    return task


def run(story: Callable[[Pagers, Pages], Awaitable[None]]) -> None:
    """Tell a story of a listing that asks ahead, and see that nothing of it is left."""

    async def told() -> None:
        workers = Pagers()
        stream = listed_pages(workers.requests, "bucket", "", folder=False, max_keys=0, ahead=True)
        pages = each_of(stream, lambda page: list(page.objects))
        try:
            async with asyncio.timeout(10):
                await story(workers, pages)
        finally:
            await pages.aclose()
        assert workers.requests.under_way == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(told())


def test_the_next_page_is_asked_for_before_the_last_one_has_come() -> None:
    """An early token asks another worker at once; the pages come in order all the same, whichever is there first."""

    async def story(workers: Pagers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        assert workers.pages == [(1, ""), (2, "two")]
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

    async def story(workers: Pagers, pages: Pages) -> None:
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

    async def story(workers: Pagers, pages: Pages) -> None:
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

    async def story(workers: Pagers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.deny(1)
        assert not first.done()
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        with pytest.raises(AccessDenied):
            await anext(pages)

    run(story)


def test_a_page_that_fails_takes_the_one_asked_ahead_with_it() -> None:
    """After a failure nothing is waited for any more."""

    async def story(workers: Pagers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.deny(0)
        with pytest.raises(AccessDenied):
            await first
        assert workers.tokens == ["", "two"]

    run(story)


def test_a_repeated_token_is_noticed() -> None:
    """A listing that goes on where it went on before ends in an error, also if the token was told early."""

    async def story(workers: Pagers, pages: Pages) -> None:
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

    async def story(workers: Pagers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        workers.say(Answer(workers.asked[0][1].ask, last=False, piece=b"\x83"))
        await workers.kill(1)
        assert workers.pages == [(1, ""), (2, "two"), (2, "")]
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

    async def story(workers: Pagers, pages: Pages) -> None:
        first = await begun(pages)
        await workers.tell(0, "two")
        await workers.give(0, "ab", "two")
        assert await first == "ab"
        late: Any = workers.asked[1][1].ask
        await pages.aclose()
        workers.say(Answer(late))
        await settle()

    run(story)
