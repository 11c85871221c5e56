"""Watches the batches of small objects that engines of this process give to their workers."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import pytest

from bulkhaul.engine.pool.batch_job import BatchJob


def watched_batches(patch: pytest.MonkeyPatch, done: Literal["landed", "sent"]) -> list[int]:
    """Return a list that takes, at the end of each batch, how many of its objects have arrived or were stored.

    A slow batch tells each second what is done; that counts for its end.
    """
    seen: list[int] = []
    before: Counter[tuple[int, int]] = Counter()
    real = BatchJob.ended

    def ended(self: BatchJob, worker: int, message: Any) -> Any:
        before[worker, message.lease] += len(getattr(message, done))
        if not message.more:
            seen.append(before.pop((worker, message.lease)))
        return real(self, worker, message)

    patch.setattr(BatchJob, "ended", ended)
    return seen
