"""Asks for the pages of listings, one after the other or one ahead.

    ahead:   ask 1 ─▶ token of 2 ─▶ rest of 1 ─▶ yield 1 ─▶ yield 2
                           └─▶ ask 2 ─▶ token of 3 ─▶ rest of 2 ─┘      (page 3 is asked for when page 1 is done with)

A worker tells the token of the next page before it has read the rest of this one, so the service looks the next page up
meanwhile, and another worker reads it. The early token is a hint: the page that was asked for with it counts only if
this page, when all of it has come, names the same token.

What is listed may be deleted next, so a page that names anything outside of the prefix is refused (``wire.told``).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from bulkhaul.engine.messages.request import Request
from bulkhaul.engine.messages.requests import ListPage
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import OtherError
from bulkhaul.model.writing import ObjectsPage

Marker = TypeVar("Marker")
Page = TypeVar("Page")
Taken = TypeVar("Taken")


async def listed_pages(
    requests: Requests,
    bucket: str,
    prefix: str,
    *,
    folder: bool,
    max_keys: int,
    ahead: bool,
    token: str = "",
    restores: bool = False,
    start_after: str = "",
) -> AsyncGenerator[ObjectsPage, None]:
    """Yield each page, in the service's order.

    Args:
        folder: stop at the next slash.
        max_keys: length of a page, 0 for the service's own.
        ahead: see above.
        token: of the first page, empty for the beginning.
        restores: tell the status of archived objects, too, where the endpoint does.
        start_after: without a token, begin after this text.

    Raises:
        OtherError: the listing would never end, or a page contradicts what was told early of it.
        UnexpectedReply: a page names what does not begin with the prefix.
        TransferError: a page cannot be had.
    """
    subject = f"s3://{bucket}/{prefix}"
    seen = set[int]()

    def begin(token: str) -> _Page:
        first = "" if token else start_after
        request = ListPage(bucket, prefix, token, folder, max_keys, start_after=first, restores=restores, early=ahead)
        return _Page(requests, request, subject)

    page, following = begin(token), None
    try:
        while True:
            if ahead and (early := await page.early_token()):
                following = begin(early)
            listed = await page.answer
            if token := listed.next_token:
                require_news(token, seen, subject)
            if following is not None and following.token != token:
                # The try that told the early token failed, and the next try was told another one.
                await _give_up(following)
                following = None
            if ahead and token and following is None:
                following = begin(token)
            yield listed
            if not token:
                return
            page, following = following or begin(token), None
    finally:
        await _give_up(page, following)


async def marked_pages(
    requests: Requests,
    request_at: Callable[[Marker], Request[Page]],
    first: Marker,
    after: Callable[[Page], Marker],
    subject: str,
) -> AsyncGenerator[Page, None]:
    """Yield each page of a listing whose pages name the marker of the next one, in the service's order.

    Args:
        request_at: makes the request for the page at a marker.
        first: marker of the first page; a page that names it again is the last one.
        after: returns the marker of the page that follows.

    Raises:
        OtherError: the listing would never end.
        UnexpectedReply: a page names what does not begin with the prefix.
        TransferError: a page cannot be had.
    """
    marker, seen = first, set[int]()
    while True:
        page = await requests.ask(request_at(marker), subject)
        yield page
        if (marker := after(page)) == first:
            return
        require_news(marker, seen, subject)


async def each_of(pages: AsyncGenerator[Page, None], take: Callable[[Page], Taken]) -> AsyncGenerator[Taken, None]:
    """Yield what ``take`` makes of each page; the listing is closed when this generator is."""
    async with contextlib.aclosing(pages):
        async for page in pages:
            yield take(page)


class _Page:
    """One page of a listing, asked for.

    Attributes:
        token: of its beginning.
        answer: the whole page, or why there is none.
    """

    def __init__(self, requests: Requests, request: ListPage, subject: str) -> None:
        self.token = request.token
        self._early: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answer = asyncio.create_task(requests.ask(request, subject, on_early=self._told))

    async def early_token(self) -> str:
        """Return the token of the next page as soon as it is told, empty if this page has come or failed before."""
        either: list[asyncio.Future[Any]] = [self.answer, self._early]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return "" if self.answer.done() else self._early.result()

    def _told(self, token: str) -> None:
        if not self._early.done():
            self._early.set_result(token)


async def _give_up(*pages: _Page | None) -> None:
    """Cancel pages that are under way, and wait until they have ended."""
    answers = [page.answer for page in pages if page is not None]
    for answer in answers:
        answer.cancel()
    await asyncio.gather(*answers, return_exceptions=True)


def require_news(marker: object, seen: set[int], subject: str) -> None:
    """Raise OtherError for a marker that was met before. One number is remembered for each page of 1,000 keys."""
    if hash(marker) in seen:
        raise OtherError("the listing repeats its continuation token, so it would never end", subject)
    seen.add(hash(marker))
