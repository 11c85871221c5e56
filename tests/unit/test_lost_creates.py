"""What is said of an upload of which nobody knows whether it has begun."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from bulkhaul.engine.transfers import multipart_guard
from bulkhaul.engine.transfers.multipart_guard import MultipartGuard
from bulkhaul.model.objects import ObjectRef


class NeverListed:
    """A control whose listing of uploads never comes."""

    async def pending_uploads_of(self, ref: ObjectRef) -> list[object]:
        """Wait."""
        await asyncio.Event().wait()
        return []


class Kept:
    """A journal that remembers what became of it."""

    def __init__(self) -> None:
        self.fate: list[str] = []

    def set_aside(self) -> None:
        """It is kept for `cleanup`."""
        self.fate.append("set aside")

    def close(self) -> None:
        """It is closed."""
        self.fate.append("closed")


def test_a_listing_that_does_not_come(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The warning says why nothing can be told, and which command looks again; the journal stays for that."""
    monkeypatch.setattr(multipart_guard, "DOUBT_S", 0.01)
    none, journal = cast("Any", None), Kept()
    guard = MultipartGuard(none, cast("Any", NeverListed()), none, none)
    asyncio.run(guard.settle_lost_create(ObjectRef("bucket", "big"), cast("Any", journal)))
    (said,) = [record.getMessage() for record in caplog.records]
    assert "s3://bucket/big is left" in said
    assert "bulkhaul cleanup" in said
    assert said.endswith("did not come within 0.01 s")
    assert journal.fate == ["set aside", "closed"]
