"""A store starts no process for a call that needs no request."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from bulkhaul.aio import S3Store
from bulkhaul.errors import OtherError, RangeNotSatisfiable, TransferError, UsageError

Call = Callable[[S3Store], Awaitable[object]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda store: store.get_bytes_range("k", 3, 3), None),
        (lambda store: store.get_bytes_range("k", 5, 1), RangeNotSatisfiable),
        (lambda store: store.get_bytes_range("", 0, 1), UsageError),
        (lambda store: store.presigned_get_url("k", 0), OtherError),
    ],
    ids=["empty range", "no range", "no key", "no time"],
)
def test_what_needs_no_request_starts_nothing(call: Call, error: type[TransferError] | None) -> None:
    """It is answered or refused before any worker is started."""

    async def story() -> None:
        store = S3Store.from_url("s3://bucket")
        with pytest.raises(error) if error is not None else contextlib.nullcontext():
            assert await call(store) == b""
        assert store._engine is None

    asyncio.run(story())
