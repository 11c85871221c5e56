"""What listings tell of objects that are named one by one, and when they are asked at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from bulkhaul.cli.command_file.listings import LEAST_ROWS, USELESS, Listings
from bulkhaul.engine.operations.control import Control
from bulkhaul.errors import AccessDenied
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.rows import Action, Row

PAGE = 1000


class Service:
    """A bucket of so many keys, listed in pages; it notes the pages that it gave."""

    def __init__(self, keys: Sequence[str], *, denied: bool = False) -> None:
        self.keys = sorted(keys)
        self.denied = denied
        self.asked: list[tuple[str, int]] = []

    async def pages(self, bucket: str, prefix: str, *, ahead: bool) -> AsyncGenerator[list[ObjectHead], None]:
        """Yield the pages."""
        assert not ahead
        found = [key for key in self.keys if key.startswith(prefix)]
        for start in range(0, len(found) or 1, PAGE):
            self.asked.append((bucket, start))
            if self.denied:
                raise AccessDenied("no")
            yield [
                ObjectHead(key, 7, f'"{key}"', datetime(2026, 11, 27, tzinfo=UTC))
                for key in found[start : start + PAGE]
            ]


def told(listings: Listings, service: Service, keys: Sequence[str]) -> list[Row]:
    """Return the rows of these keys, as listings tell of them."""
    rows = [Row(n=n, action=Action.DOWNLOAD, source=f"s3://b/{key}", destination=key) for n, key in enumerate(keys, 5)]
    found = asyncio.run(listings.told(cast("Control", service), rows))
    assert [row.n for row in found] == [row.n for row in rows]
    assert [row.source for row in found] == [row.source for row in rows]
    return found


def test_rows_side_by_side() -> None:
    """Keys of a listing, in any order and also twice, are told of by the pages that they fill, and no further ones."""
    keys = [f"p/{n:05}" for n in range(30_000)]
    service = Service(keys)
    wanted = [*reversed(keys[10_000:12_000]), keys[10_001], "p/10002x"]
    rows = told(Listings(), service, wanted)
    assert [row.etag for row in rows] == [f'"{key}"' for key in wanted[:-1]] + [""]
    assert {row.size for row in rows[:-1]} == {7}
    assert service.asked == [("b", 0), ("b", 1000)]


def test_a_few_rows() -> None:
    """A few objects are not worth a listing."""
    service = Service([f"{n:03}" for n in range(LEAST_ROWS)])
    assert not any(row.etag for row in told(Listings(), service, service.keys[1:]))
    assert service.asked == []


@pytest.mark.parametrize("denied", [True, False])
def test_listings_that_are_of_no_use(denied: bool) -> None:
    """Far apart, or where listing is not allowed: it is tried twice, a few pages each, and then no more."""
    service = Service([f"{n:06}" for n in range(200_000)], denied=denied)
    listings = Listings()
    scattered = [f"{n:06}" for n in range(199, 200_000, 2000)]
    for _ in range(5):
        told(listings, service, scattered)
    assert len(service.asked) == USELESS * (1 if denied else 2)
