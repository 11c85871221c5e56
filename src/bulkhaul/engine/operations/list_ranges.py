"""Asks for the pages of a listing side by side, as ``KeyRanges`` says, and gives them to the reader in order.

KeyRanges ─▶ Fetch ─▶ a task, one request ─▶ page ─▶ KeyRanges ─▶ reader
                                               a service that cannot be listed so ─▶ ``list_pages``, one stream
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Final

from bulkhaul.engine.messages.requests import ListPage
from bulkhaul.engine.operations.list_pages import listed_pages
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import TransferError
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import ObjectsPage
from bulkhaul.policy.keyranges import Fetch, KeyRanges
from bulkhaul.policy.pages_in_flight import PagesInFlight

MOST_PAGES: Final = 96
"""Pages under way or waiting for the reader: 1,000 objects take about 0.4 MB of memory."""


async def ranged_pages(
    requests: Requests,
    bucket: str,
    prefix: str,
    *,
    max_keys: int,
    restores: bool = False,
    most_pages: int = MOST_PAGES,
) -> AsyncGenerator[Sequence[ObjectHead], None]:
    """Yield the pages of a listing of everything below a prefix, in the service's order; their lengths vary.

    Args:
        max_keys: length of a page, 0 for the service's own.
        restores: tell the status of archived objects, too, where the endpoint does.
        most_pages: that are under way or wait for the reader.

    Raises:
        OtherError: the listing would never end.
        UnexpectedReply: a page names what does not begin with the prefix.
        TransferError: a page cannot be had.
    """
    fetching = _Fetching(requests, bucket, prefix, max_keys, restores=restores, most_pages=most_pages)
    try:
        while not fetching.ranges.handed_over:
            fetching.begin()
            if (page := fetching.ranges.take()) is not None:
                fetching.begin()  # in place of the page that is taken
                yield page
            elif fetching.ranges.done:
                return
            else:
                await fetching.wait()
    finally:
        await fetching.give_up()
    token = fetching.ranges.front_token
    if token:
        rest = listed_pages(
            requests, bucket, prefix, folder=False, max_keys=max_keys, ahead=True, token=token, restores=restores
        )
        async with contextlib.aclosing(rest) as pages:
            async for one in pages:
                yield one.objects


class _Fetching:
    """The requests of one listing that are under way."""

    def __init__(
        self, requests: Requests, bucket: str, prefix: str, max_keys: int, *, restores: bool, most_pages: int
    ) -> None:
        self._requests = requests
        self._bucket = bucket
        self._prefix = prefix
        self._max_keys = max_keys
        self._restores = restores
        self._subject = f"s3://{bucket}/{prefix}"
        self.ranges = KeyRanges(prefix, self._subject, most_pages=most_pages)
        self._in_flight = PagesInFlight()
        self._tasks: dict[Fetch, asyncio.Task[None]] = {}
        self._moved = asyncio.Event()
        self._defect: Exception | None = None

    def begin(self) -> None:
        """Ask for every page that may be asked for now, and for none that nobody waits for any more."""
        if self._defect is not None:
            raise self._defect
        for asked, task in self._tasks.items():
            if not self.ranges.wanted(asked):
                task.cancel()
        while (fetch := self.ranges.next_fetch(window=self._in_flight.limit)) is not None:
            self._tasks[fetch] = asyncio.create_task(self._fetch(fetch))

    async def wait(self) -> None:
        """Wait until a page has come, or failed."""
        self.ranges.starved()
        self.begin()
        self._moved.clear()
        await self._moved.wait()

    async def give_up(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fetch(self, fetch: Fetch) -> None:
        try:
            page = await self._ask(fetch)
            self._in_flight.arrived(asyncio.get_running_loop().time(), under_way=len(self._tasks))
            self.ranges.arrived(fetch, page)
        except TransferError as error:
            self.ranges.failed(fetch, error, refused=_is_refusal(error))
        except Exception as error:  # noqa: BLE001 - raised for the reader, who would else wait for ever, or miss keys
            self._defect = error
        finally:
            del self._tasks[fetch]
            self._moved.set()

    async def _ask(self, fetch: Fetch) -> ObjectsPage:
        request = ListPage(
            self._bucket,
            self._prefix,
            fetch.token,
            max_keys=self._max_keys,
            start_after=fetch.start_after,
            restores=self._restores,
        )
        return await self._requests.ask(request, self._subject)


def _is_refusal(error: TransferError) -> bool:
    """Whether the service may have refused the request for what one stream would never ask: to begin after a text.

    Directory buckets do not know StartAfter (S3 API, ListObjectsV2). What stands between may refuse a text for its
    characters: a proxy that rewrites it breaks the signature, which is told as 403. If something else is wrong, the
    stream that is asked instead meets it, too.
    """
    return error.info.status >= 400 and error.info.code != "Throttled"


__all__ = ["MOST_PAGES", "ranged_pages"]
