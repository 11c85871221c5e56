"""Gathers what comes one by one from an asynchronous iterable."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import TypeVar

T = TypeVar("T")


async def in_batches(items: AsyncIterable[T], count: int) -> AsyncGenerator[list[T], None]:
    """Yield the items in lists of ``count``, the last one shorter; no more is taken than is in the list."""
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == count:
            yield batch
            batch = []
    if batch:
        yield batch
