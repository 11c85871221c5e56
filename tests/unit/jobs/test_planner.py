"""The planner: shards tile the rows, a planner that dies loses and repeats nothing, totals are those of all rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast

import pytest
from hypothesis import given as cases
from hypothesis import settings as how
from hypothesis import strategies as st

from bulkhaul.engine.operations.control import Control
from bulkhaul.jobs.folder.description import Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.planner import FIRST_ROWS, MAX_BYTES, Planner
from bulkhaul.jobs.row_sources import Begun, ObjectRows, RowSource, Told, delete_row, download_row
from bulkhaul.model.errors import NetworkError, NotFound, UsageError
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import Settings
from bulkhaul.policy.plan_totals import Totals
from bulkhaul.policy.selection import Source, selector
from bulkhaul.store.memory import MemoryStore

from .folders import folder_in, given, rows

SOURCE = Source("bucket", prefix="a/", base="a/", many=True)


class Listing:
    """Lists keys as a service does, in the given order, three a page.

    Args:
        deaf: ``start_after`` is ignored.
        blind: what lies below the key that is begun after is left out.
        fails_after: pages until the connection breaks, once.
    """

    def __init__(
        self, keys: Sequence[str], *, deaf: bool = False, blind: bool = False, fails_after: int | None = None
    ) -> None:
        self.keys = list(keys)
        self.asked: list[str] = []
        self._deaf = deaf
        self._blind = blind
        self._fails_after = fails_after

    def pages(self, bucket: str, prefix: str) -> AsyncGenerator[list[ObjectHead], None]:
        return self.pages_after(bucket, prefix, "")

    async def pages_after(self, bucket: str, prefix: str, start_after: str) -> AsyncGenerator[list[ObjectHead], None]:
        self.asked.append(start_after)
        keys = [key for key in self.keys if key.startswith(prefix) and (self._deaf or key > start_after)]
        if self._blind and start_after:
            keys = [key for key in keys if not key.startswith(f"{start_after}/")]
        for start in range(0, len(keys), 3):
            if self._fails_after is not None:
                self._fails_after -= 1
                if self._fails_after < 0:
                    self._fails_after = None
                    raise NetworkError("broken")
            yield [ObjectHead(key, 1, '"e"') for key in keys[start : start + 3]]

    def source(self, kind: Action = Action.DELETE) -> ObjectRows:
        """Return the rows of the listing."""
        row_of = delete_row(SOURCE) if kind is Action.DELETE else download_row(SOURCE, "/data")
        return ObjectRows(cast("Control", self), SOURCE, selector(SOURCE), row_of)


def planned(folder: JobFolder, source: RowSource, *, most: int | None = None, max_rows: int = 4) -> list[Shard]:
    """Plan to the end, or until so many shards are written."""

    async def plan() -> list[Shard]:
        shards: list[Shard] = []
        async with aclosing(Planner(folder, source, Settings(), max_rows=max_rows).shards()) as written:
            async for shard in written:
                shards.append(shard)
                if most is not None and len(shards) >= most:
                    break
        return shards

    return asyncio.run(plan())


def every_row(folder: JobFolder) -> list[Row]:
    """Return all rows of a plan that is whole."""
    (plan,) = folder.plans()
    return [row for shard in plan.shards for row in folder.rows(shard)]


@cases(st.integers(0, 40), st.integers(1, 9), st.lists(st.integers(1, 4), max_size=5))
@how(max_examples=40, deadline=None)
def test_planners_that_die_lose_nothing(count: int, max_rows: int, deaths: list[int]) -> None:
    """However often planners stop, and wherever, the plan has each row once, in order, numbered from 0."""
    folder = folder_in(MemoryStore())
    for shards in deaths:
        planned(folder, given(rows(count)), most=shards, max_rows=max_rows)
    planned(folder, given(rows(count)), max_rows=max_rows)
    assert every_row(folder) == rows(count)
    assert all(shard.rows <= max_rows for shard in folder.plans()[0].shards)


def test_a_listing_goes_on_after_the_last_key() -> None:
    """What is planned is not listed again."""
    keys = [f"a/{number:02d}" for number in range(20)]
    listing, folder = Listing(keys, fails_after=3), folder_in(MemoryStore())
    with pytest.raises(NetworkError):
        planned(folder, listing.source())
    planned(folder, listing.source())
    assert listing.asked == ["", "a/04"]  # two shards of four keys: the second one ends at a/07
    assert [row.source for row in every_row(folder)] == [f"s3://bucket/{key}" for key in keys]


@pytest.mark.parametrize("deaf", [True, False], ids=["ignores-start-after", "knows-it"])
@pytest.mark.parametrize("order", ["ascending", "slash-first"])
def test_odd_services_lose_and_repeat_nothing(order: str, deaf: bool) -> None:
    """Neither a service that ignores ``start-after`` nor one that lists in another order has a row lost or repeated."""
    keys = ["a/b/1", "a/b/2", "a/b/3", "a/b/4", "a/b-1", "a/b-2", "a/c", "a/d", "a/e", "a/f"]
    keys = sorted(keys) if order == "ascending" else keys
    for shards in range(1, 4):
        folder = folder_in(MemoryStore())
        listing = Listing(keys, deaf=deaf or order != "ascending")
        planned(folder, listing.source(), most=shards, max_rows=3)
        planned(folder, listing.source(), max_rows=3)
        assert sorted(row.source for row in every_row(folder)) == sorted(f"s3://bucket/{key}" for key in keys)


def test_versions_of_a_key_are_planned_once() -> None:
    """All of them have one source: what tells those that are planned from the others is the version."""

    class Histories:
        told = Told()

        async def rows(self, begun: Begun) -> AsyncGenerator[Sequence[Row], None]:
            page = [
                Row(n=0, action=Action.COPY, source=f"s3://b/{key}", destination="s3://c/k", version_id=f"{n}", older=n)
                for key in "ab"
                for n in range(5)
            ]
            yield [row for row in page if not begun.has(row)] if begun.rows else page

    for shards in (1, 2, 3):
        folder = folder_in(MemoryStore())
        planned(folder, Histories(), most=shards, max_rows=3)
        planned(folder, Histories(), max_rows=3)
        expected = [(key, n) for key in "ab" for n in range(5)]
        assert [(row.source[-1], row.older) for row in every_row(folder)] == expected


def test_a_service_that_misses_keys_loses_none() -> None:
    """Where the last key is not met, the listing cannot be the same one, and all is listed again."""
    keys = ["a/b", *[f"a/b/{number:02d}" for number in range(20)], "a/c"]
    for shards in range(1, 5):
        folder = folder_in(MemoryStore())
        listing = Listing(keys, blind=True)
        planned(folder, listing.source(), most=shards)
        planned(folder, listing.source())
        assert [row.source for row in every_row(folder)] == [f"s3://bucket/{key}" for key in keys]


def test_nothing_selected() -> None:
    """A listing that selects nothing is an error, as for a copy, and no empty plan."""
    folder = folder_in(MemoryStore())
    with pytest.raises(NotFound):
        planned(folder, Listing(["b/1"]).source())
    assert folder.plans() == []


def test_the_rest_of_a_changed_manifest_is_refused() -> None:
    """Rows that are not those that the plan began with do not become the rest of it."""
    folder = folder_in(MemoryStore())
    planned(folder, given(rows(10)), most=1)
    with pytest.raises(UsageError, match="not the one"):
        planned(folder, given(rows(10, first=3)))
    with pytest.raises(UsageError, match="has 2 rows"):
        planned(folder, given(rows(2)))


def test_two_planners_make_one_plan() -> None:
    """A planner that comes second to a shard goes on after it, and both know the same plan."""
    folder, keys = folder_in(MemoryStore()), [f"a/{number:02d}" for number in range(20)]

    async def both() -> tuple[list[Shard], list[Shard]]:
        async def plan(max_rows: int) -> list[Shard]:
            planner = Planner(folder, Listing(keys).source(), Settings(), max_rows=max_rows)
            return [shard async for shard in planner.shards()]

        return await asyncio.gather(plan(3), plan(5))

    one, other = asyncio.run(both())
    assert one == other == list(folder.plans()[0].shards)
    assert [row.source for row in every_row(folder)] == [f"s3://bucket/{key}" for key in keys]


def test_a_plan_that_is_whole_is_not_made_again() -> None:
    """A planner of a whole plan yields its shards, and asks for nothing."""
    folder, listing = folder_in(MemoryStore()), Listing(["a/1", "a/2"])
    first = planned(folder, listing.source())
    assert planned(folder, listing.source()) == first
    assert listing.asked == [""]


def test_large_objects_make_small_shards() -> None:
    """The bytes of a shard are bounded as its rows are, and the first shard is small, so that work begins at once."""
    large = [Row(n=0, action=Action.DELETE, source=f"s3://b/{n}", size=MAX_BYTES // 2) for n in range(6)]
    assert [one.rows for one in planned(folder_in(MemoryStore()), given(large))] == [2, 2, 2]
    small = rows(FIRST_ROWS + 10)
    assert [one.rows for one in planned(folder_in(MemoryStore()), given(small), max_rows=10_000)] == [FIRST_ROWS, 10]


def test_keys_that_cannot_be_files_are_planned_too() -> None:
    """A key without a path stays in the plan, with the reason; a folder's marker is skipped."""
    listing = Listing(["a/../x", "a/ok"])
    folder = folder_in(MemoryStore())
    planned(folder, listing.source(Action.DOWNLOAD))
    refused, taken = every_row(folder)
    assert (refused.action, refused.destination) == (Action.DOWNLOAD, "")
    assert '".." segment' in refused.reason
    assert taken.destination == "/data/ok"


def test_totals() -> None:
    """Requests and bytes are those of the rows that can be done, by the sizes at which S3 wants several requests."""
    totals = Totals(Settings(part_size_bytes=8 * MIB, multipart_threshold_bytes=64 * MIB))
    moves: list[tuple[Action, int | None]] = [(Action.DOWNLOAD, 0), (Action.DOWNLOAD, 17 * MIB)]
    moves += [(Action.UPLOAD, MIB), (Action.UPLOAD, 64 * MIB)]
    moves += [(Action.COPY, MIB), (Action.COPY, 65 * MIB), (Action.SKIP, MIB), *[(Action.DELETE, None)] * 1001]
    totals.add(
        Row(n=0, action=action, source="s3://b/k", destination="d" * (action is not Action.DELETE), size=size)
        for action, size in moves
    )
    totals.add([Row(n=0, action=Action.DOWNLOAD, source="s3://b/k", destination="d", storage_class="GLACIER", size=1)])
    totals.add([Row(n=0, action=Action.COPY, source="m:1", reason="m:1: it is no row")])
    assert totals.requests == {
        "GetObject": 3 + 1,
        "HeadObject": 2 + 1 + 2,
        "PutObject": 1,
        "CreateMultipartUpload": 2,
        "UploadPart": 8,
        "CompleteMultipartUpload": 2,
        "CopyObject": 1,
        "UploadPartCopy": 9,
        "DeleteObjects": 2,
    }
    assert (totals.rows, totals.size_bytes) == (len(moves) + 2, 17 * MIB + MIB + 64 * MIB + MIB + 65 * MIB + 1)
    assert (totals.archived_rows, totals.archived_bytes) == (1, 1)


def test_dates_are_of_use() -> None:
    """What a listing tells of an object is in its row, so that it can be known again."""
    told = datetime(2026, 1, 2, tzinfo=UTC)
    head = ObjectHead("a/k", 5, '"etag"', told, storage_class="STANDARD_IA")
    row = delete_row(SOURCE)(head)
    assert (row.size, row.etag, row.last_modified, row.storage_class) == (5, '"etag"', told, "STANDARD_IA")
