"""Versions that are made while answers are lost: tried as other requests are, and never taken for made once unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, cast

import pytest

from bulkhaul.engine.operations.control import Control
from bulkhaul.engine.transfers.rows_versions import VersionCopies
from bulkhaul.engine.transfers.same_version import VersionSide
from bulkhaul.model.errors import ServerError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.writing import ObjectVersion

SOURCE, THERE = ObjectRef("b", "k"), ObjectRef("c", "k")
ETAG = '"00000000000000000000000000000001"'


class Service:
    """One that keeps versions of one key, the newest first."""

    def __init__(self) -> None:
        self.kept: list[ObjectVersion] = []

    async def versioning(self, _bucket: str) -> str:
        """Keep versions."""
        return "Enabled"

    async def versions(self, _bucket: str, _prefix: str) -> AsyncGenerator[list[ObjectVersion], None]:
        """Yield all of them as a page."""
        yield list(self.kept)

    async def delete(self, _ref: ObjectRef, *, before_again: object) -> str:
        """Make no delete marker, and tell of no error."""
        assert before_again
        return ""

    def store(self) -> str:
        """Make a version of one byte."""
        version_id = f"{len(self.kept)}"
        self.kept.insert(0, ObjectVersion("k", version_id, 1, ETAG))
        return version_id


Copy = Callable[[Service, Callable[[], Awaitable[None]]], Awaitable[str]]


def ended(service: Service, copy: Copy, action: Action = Action.COPY) -> TransferResult | Exception:
    """Return what becomes of one row, which has no older versions."""
    row = Row(n=0, action=action, source=SOURCE.url, destination=THERE.url, size=1, etag=ETAG, version_id="v", older=0)

    async def copied(_source: ObjectRef, ref: ObjectRef, *, before_again: Any, **_: object) -> TransferResult:
        version_id = await copy(service, before_again)
        return TransferResult(
            source=SOURCE.url, destination=ref.url, bucket=ref.bucket, key=ref.key, version_id=version_id
        )

    async def running() -> TransferResult:
        side = VersionSide(cast("Control", service), cast("Any", None))
        work = VersionCopies(side, side, copied).piece(row, SOURCE, THERE).work
        assert work is not None
        return await work()

    try:
        return asyncio.run(running())
    except Exception as error:  # noqa: BLE001 - it is judged by its caller
        return error


def test_an_error_that_lasts_is_told() -> None:
    """The destination is looked at before each try, and in the end the service's own error counts."""

    async def refused(_service: Service, before_again: Callable[[], Awaitable[None]]) -> str:
        for _ in range(5):
            await before_again()
        raise ServerError("the service failed by itself")

    assert isinstance(ended(Service(), refused), ServerError)


def test_one_that_is_there_is_not_made_again() -> None:
    """It is found before the second try, as one that was made now."""

    async def lost(service: Service, before_again: Callable[[], Awaitable[None]]) -> str:
        service.store()
        await before_again()
        raise AssertionError("it is asked for again")

    service = Service()
    result = ended(service, lost)
    assert isinstance(result, TransferResult)
    assert (result.version_id, result.skipped, len(service.kept)) == ("0", "", 1)


def test_one_that_comes_late_is_seen() -> None:
    """The first request is carried out only after the look that has not found it."""

    async def late(service: Service, before_again: Callable[[], Awaitable[None]]) -> str:
        await before_again()
        service.store()
        return service.store()

    error = ended(Service(), late)
    assert "2 versions where 1 were to be" in str(error)


def test_a_delete_marker_that_is_not_made() -> None:
    """That the service tells of no error is no success."""
    service = Service()
    assert "has not made a version" in str(ended(service, cast("Copy", None), Action.MARK))
    assert service.kept == []


@pytest.mark.parametrize("kept", ["null", "7"])
def test_an_answer_without_a_version(kept: str) -> None:
    """The listing tells which it is; a null version shows that the bucket has stopped to keep versions."""

    async def silent(service: Service, _: object) -> str:
        service.kept.insert(0, ObjectVersion("k", kept, 1, ETAG))
        return ""

    result = ended(Service(), silent)
    if kept == "null":
        assert "if the versioning of the bucket was suspended" in str(result)
    else:
        assert isinstance(result, TransferResult)
        assert (result.version_id, result.skipped) == ("7", "")


@pytest.mark.parametrize("doubtful", [False, True])
def test_an_order_that_is_told_counts(doubtful: bool) -> None:
    """Of one time are an object and then a delete marker: they are no history that begins with one, if that is told."""
    service = Service()
    service.kept = [
        ObjectVersion("k", "marker", delete_marker=True),
        ObjectVersion("k", "object", 1, ETAG, doubtful=doubtful),
    ]
    found = ended(service, cast("Copy", None), Action.MARK)
    if doubtful:
        assert isinstance(found, TransferResult)
        assert found.version_id == "marker"
    else:
        assert "another history: its version object stands in the place" in str(found)
