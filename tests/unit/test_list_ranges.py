"""The requests of a listing by ranges: made side by side, taken back when nobody waits for them, none left behind."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest

from bulkhaul.engine.messages.requests import Ask, Early, ListPage
from bulkhaul.engine.operations.control import Control
from bulkhaul.errors import NotFound
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.keyranges import Fetch, KeyRanges
from tests.unit.test_keyranges import Store
from tests.unit.workers import Workers

NAMES = [f"{number:05d}" for number in range(2000)]
PAGE = 10


class Service(Workers):
    """Workers that answer each request for a page in a while, in any order.

    Attributes:
        refuses: tells the error of a request, None for a page.
        most: requests that were under way at once.
    """

    def __init__(self, store: Store, refuses: Callable[[ListPage], ErrorInfo | None] = lambda _: None) -> None:
        super().__init__()
        self.store, self.refuses = store, refuses
        self.rng = random.Random(1)
        self.most = 0

    def send(self, worker: int, message: object, _descriptors: list[int]) -> None:
        """Answer a request later."""
        super().send(worker, message, _descriptors)
        assert isinstance(message, Ask)
        self.most = max(self.most, self.requests.under_way)
        asyncio.get_running_loop().call_later(self.rng.uniform(0.0, 0.003), self._answer, len(self.asked) - 1)

    def _answer(self, nth: int) -> None:
        request = self.asked[nth][1].request
        assert isinstance(request, ListPage)
        if (error := self.refuses(request)) is not None:
            self.refuse(nth, error)
            return
        page = self.store.page(Fetch(request.token, request.start_after), PAGE)
        if page.next_token and request.early:
            self.say(Early(self.asked[nth][1].ask, page.next_token))
        self.answer(nth, page)

    @property
    def pages(self) -> list[ListPage]:
        """What was asked for, in order."""
        return [message.request for _, message in self.asked if isinstance(message.request, ListPage)]


def run(story: Callable[[Service], Awaitable[None]], service: Callable[[], Service] | None = None) -> Service:
    """Tell a story of a listing, and see that nothing of it is left."""

    async def told() -> Service:
        workers = service() if service else Service(Store(NAMES))
        async with asyncio.timeout(30):
            await story(workers)
        assert workers.requests.under_way == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return workers

    return asyncio.run(told())


async def listed(service: Service) -> list[str]:
    """Return all keys."""
    return [head.key async for page in Control(service.requests).pages("bucket", "") for head in page]


def test_pages_are_asked_for_side_by_side() -> None:
    """Every key comes once, in order, whichever page is there first."""

    async def story(service: Service) -> None:
        assert await listed(service) == NAMES

    service = run(story)
    assert service.most > 4
    assert len(service.pages) <= 1.5 * len(NAMES) / PAGE


def test_no_more_pages_are_asked_for_than_the_caller_has_room_for() -> None:
    """A caller that reads two listings side by side gives each a part of the pages."""

    async def story(service: Service) -> None:
        pages = Control(service.requests).pages("bucket", "", most_pages=3)
        assert [head.key async for page in pages for head in page] == NAMES

    assert run(story).most == 3


def test_a_service_without_start_after_is_listed_by_one_stream() -> None:
    """From where the reader is, each page ahead of the last one as it is told early."""

    def refuses(request: ListPage) -> ErrorInfo | None:
        return ErrorInfo("OtherError", "no start-after", status=501) if request.start_after else None

    async def story(service: Service) -> None:
        assert await listed(service) == NAMES

    service = run(story, lambda: Service(Store(NAMES), refuses))
    tokens = [one.token for one in service.pages if not one.start_after]
    assert len(tokens) == len(set(tokens))


def test_a_listing_that_is_left_takes_its_requests_back() -> None:
    """Nothing is under way when the reader has closed it."""

    async def story(service: Service) -> None:
        pages = Control(service.requests).pages("bucket", "")
        while service.requests.under_way < 2:
            await anext(pages)
            await asyncio.sleep(0)
        await pages.aclose()

    run(story)


def test_a_page_that_fails_ends_the_listing_in_its_turn() -> None:
    """What comes before it has been given to the reader, and the other requests are taken back."""

    def refuses(request: ListPage) -> ErrorInfo | None:
        after = request.token or request.start_after
        return ErrorInfo("NotFound", "gone", status=404) if after > "00500" else None

    async def story(service: Service) -> None:
        found: list[str] = []

        async def read() -> None:
            async for page in Control(service.requests).pages("bucket", ""):
                found.extend(head.key for head in page)

        with pytest.raises(NotFound):
            await read()
        assert found == NAMES[: len(found)]
        assert len(found) >= 450

    run(story, lambda: Service(Store(NAMES), refuses))


@pytest.mark.parametrize("nth", [1, 20])
def test_a_page_that_cannot_be_taken_in_ends_the_listing(nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong with a page, its reader neither waits for ever nor misses its keys."""
    real, count = KeyRanges.arrived, itertools.count(1)

    def arrived(self: KeyRanges, fetch: Fetch, page: ObjectsPage) -> None:
        real(self, fetch, page if next(count) != nth else None)  # type: ignore[arg-type]

    monkeypatch.setattr(KeyRanges, "arrived", arrived)

    async def story(service: Service) -> None:
        with pytest.raises(AttributeError):
            await listed(service)

    run(story)


def test_one_page_after_the_other_where_nothing_is_asked_ahead() -> None:
    """Then nothing is asked for that the reader does not take."""

    async def story(service: Service) -> None:
        pages = Control(service.requests).pages("bucket", "", ahead=False)
        for _ in range(3):
            await anext(pages)
        await pages.aclose()

    assert [one.token for one in run(story).pages] == ["", "00009", "00019"]
