"""Asks for the pages of listings, one after the other or one ahead; it must not know what becomes of them.

    ahead:   ask 1 ─▶ token of 2 ─▶ rest of 1 ─▶ yield 1 ─▶ yield 2
                           └─▶ ask 2 ─▶ token of 3 ─▶ rest of 2 ─┘      (page 3 is asked for when page 1 is done with)

The token comes before the page has been read, so the service looks the next page up meanwhile, and another worker reads
it. It is a hint: what was asked on it counts only if the whole page, of whichever try, names the same token.

What is listed may be deleted next, so a page that names anything outside of the prefix is refused (``wire.told``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from bulkhaul.engine.messages.messages import ListPage, ListUploads, ListVersions
from bulkhaul.engine.pool.requests import Desk, Reply
from bulkhaul.model.errors import OtherError
from bulkhaul.model.objects import ObjectHead


async def listed_pages(
    desk: Desk, bucket: str, prefix: str, *, folder: bool, max_keys: int, ahead: bool
) -> AsyncGenerator[tuple[list[ObjectHead], list[str]], None]:
    """Yield (objects, common prefixes) of each page, in the service's order.

    Args:
        folder: stop at the next slash.
        max_keys: length of a page, 0 for the service's own.
        ahead: see above.

    Raises:
        OtherError: the listing would never end, or a page contradicts what was told early of it.
        UnexpectedReply: a page names what does not begin with the prefix.
        TransferError: a page cannot be had.
    """
    subject = f"s3://{bucket}/{prefix}"
    seen = set[int]()

    def begin(token: str) -> _Page:
        return _Page(desk, ListPage(bucket, prefix, token, folder, max_keys), subject)

    page, following = begin(""), None
    try:
        while True:
            if ahead and (early := await page.early_token()):
                following = begin(early)
            reply = await page.answer
            if token := "".join(reply.markers[:1]):
                require_news((token,), seen, subject)
            if following is not None and following.token != token:
                # What told it early failed, and the next try was told another place.
                await _give_up(following)
                following = None
            if ahead and token and following is None:
                following = begin(token)
            yield reply.objects, reply.prefixes
            if not token:
                return
            page, following = following or begin(token), None
    finally:
        await _give_up(page, following)


async def marked_pages(
    desk: Desk, kind: type[ListVersions | ListUploads], bucket: str, prefix: str
) -> AsyncGenerator[Reply, None]:
    """Yield each page of a listing of versions, or of pending uploads, in the service's order.

    Raises:
        OtherError: the listing would never end.
        UnexpectedReply: a page names what does not begin with the prefix.
        TransferError: a page cannot be had.
    """
    subject = f"s3://{bucket}/{prefix}"
    markers, seen = ("", ""), set[int]()
    while True:
        reply = await desk.ask(kind(bucket, prefix, *markers), subject)
        yield reply
        if len(reply.markers) != 2:
            return
        markers = (reply.markers[0], reply.markers[1])
        require_news(markers, seen, subject)


class _Page:
    """One page of a listing, asked for.

    Attributes:
        token: where it begins.
        answer: the whole page, or why there is none.
    """

    def __init__(self, desk: Desk, question: ListPage, subject: str) -> None:
        self.token = question.token
        self._early: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.answer = asyncio.create_task(desk.ask(question, subject, on_early=self._told))

    async def early_token(self) -> str:
        """Return where the next page begins, as soon as that is told; nothing if the page has come or failed first."""
        either: list[asyncio.Future[Any]] = [self.answer, self._early]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return "" if self.answer.done() else self._early.result()

    def _told(self, markers: tuple[str, ...]) -> None:
        if not self._early.done():
            self._early.set_result(markers[0])


async def _give_up(*pages: _Page | None) -> None:
    """Wait for pages no more, whatever became of them."""
    answers = [page.answer for page in pages if page is not None]
    for answer in answers:
        answer.cancel()
    await asyncio.gather(*answers, return_exceptions=True)


def require_news(markers: tuple[str, ...], seen: set[int], subject: str) -> None:
    """Raise OtherError for markers that were met before; one number a page of 1,000 keys is remembered."""
    if hash(markers) in seen:
        raise OtherError("the listing repeats its continuation token, so it would never end", subject)
    seen.add(hash(markers))
