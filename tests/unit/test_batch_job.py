"""A batch job: what becomes of each row that a worker reports, and what its lease ends with."""

from __future__ import annotations

import asyncio
import os
from typing import cast

import pytest

from bulkhaul.engine.messages.messages import BatchEnded, GetBatch, GetRow, Landed, RowFailed
from bulkhaul.engine.pool.batch_job import Arrived, BatchJob
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.policy.events import Assign, PartDone, PartFailed
from bulkhaul.policy.parttable import PartTable
from bulkhaul.wire.values import Target

TARGET = Target("http", "127.0.0.1", 9000, "/b/", "us-east-1", fast=True)
BROKEN = ErrorInfo("NetworkError", "reset")
THROTTLED = ErrorInfo("Throttled", "slow down", status=503)
NEVER = cast("asyncio.Future[PartTable]", None)  # what is tested waits for nothing
MISSING = ErrorInfo("NotFound", "gone", status=404)


class Taken:
    """A job of four rows of 1, 2, 3 and 4 bytes, and what it hands on."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.alone: list[int] = []
        self.lost_bytes = 0
        rows = [GetRow(f"f{n}", '"e"', n) for n in range(1, 5)]
        template = GetBatch(target=TARGET, bucket="b", prefix="p/", rows=rows, mode=0o644, fsync=False)
        self.job = BatchJob(template=template, fd=-1, on_rows=self.take, left=[0, 1, 2, 3], arrived=NEVER)
        self.leases = 0

    def take(self, arrived: list[Arrived], alone: list[int]) -> int:
        """Note what is handed on."""
        self.arrived += arrived
        self.alone += alone
        return self.lost_bytes

    def lease(self) -> GetBatch:
        """Lease what is left."""
        self.leases += 1
        leased = self.job.lease(Assign(7, self.leases, 1, 0, 0, 10, 0, self.leases, single=True))
        assert isinstance(leased, GetBatch)
        return leased

    def ended(
        self, landed: list[int], failed: dict[int, ErrorInfo], error: ErrorInfo | None = None, *, more: bool = False
    ) -> PartDone | PartFailed | None:
        """Report rows of the last lease."""
        told = [Landed(row, 1, 1, False, 1, '"e"') for row in landed]
        gone = [RowFailed(row, info) for row, info in failed.items()]
        return self.job.ended(7, BatchEnded(self.leases, told, failed=gone, error=error, more=more))


def test_all_rows_arrive() -> None:
    """Then the lease is done, with the bytes of all and as many answers; no temp file is left over."""
    it = Taken()
    lease = it.lease()
    assert ([row.name for row in lease.rows], lease.single) == (["f1", "f2", "f3", "f4"], True)
    assert it.ended([2, 0, 1, 3], {}) == PartDone(7, 1, 10, 0, 4)
    assert [one.place for one in it.arrived] == [2, 0, 1, 3]
    assert len({one.temp for one in it.arrived}) == 4
    assert (it.alone, it.job.left, list(it.job.leftovers())) == ([], [], [])


def test_a_row_that_fails_by_itself_goes_alone() -> None:
    """Its bytes count as settled and lost, and the lease is done."""
    it = Taken()
    it.lease()
    assert it.ended([0, 1, 3], {2: MISSING}) == PartDone(7, 1, 10, 0, 3)
    assert (it.alone, it.job.lost_bytes) == ([2], 3)


def test_an_early_end_gives_back_what_was_not_begun() -> None:
    """Broken once, a row stays with the others; broken twice, it goes alone. Places stay those of the job."""
    it = Taken()
    it.lease()
    told = it.ended([0], {1: BROKEN}, BROKEN)
    assert told == PartFailed(7, 1, 1, 0, BROKEN, answered=1, failures=1, left=3, kept_bytes=1)
    assert [row.name for row in it.lease().rows] == ["f2", "f3", "f4"]
    told = it.ended([1], {0: BROKEN}, BROKEN)
    assert told == PartFailed(7, 2, 5, 0, BROKEN, answered=1, failures=1, left=1, kept_bytes=3)
    assert ([one.place for one in it.arrived], it.alone, it.job.left) == ([0, 2], [1], [3])


def test_throttled_rows_wait_together() -> None:
    """However often they are refused, none goes alone: the patience of the batch decides."""
    it = Taken()
    for _ in range(5):
        it.lease()
        told = it.ended([], {0: THROTTLED, 2: THROTTLED}, THROTTLED)
        assert isinstance(told, PartFailed)
        assert (told.failures, told.left, told.received_bytes) == (2, 4, 0)
    assert it.alone == []


def test_a_report_in_several_frames() -> None:
    """Only the last one ends the lease; what came before counts with it."""
    it = Taken()
    it.lease()
    assert it.ended([0, 1], {}, more=True) is None
    assert it.job.left == [2, 3]
    assert it.ended([2, 3], {}) == PartDone(7, 1, 10, 0, 4)


def test_a_worker_that_dies_within_a_report() -> None:
    """What it had told of counts with the next lease, which must be of the whole length: else its worker is killed."""
    it = Taken()
    it.lease()
    it.ended([0], {1: MISSING}, more=True)
    assert [row.name for row in it.lease().rows] == ["f3", "f4"]
    assert it.ended([0], {}, BROKEN) == PartFailed(7, 2, 6, 0, BROKEN, answered=2, left=1, kept_bytes=4)
    it.lease()
    assert it.ended([0], {}) == PartDone(7, 3, 4, 0, 1)


def test_bytes_that_could_not_be_published_are_lost() -> None:
    """What the caller says of them is kept for the count of received bytes."""
    it = Taken()
    it.lost_bytes = 4
    it.lease()
    told = it.ended([3], {}, BROKEN)
    assert isinstance(told, PartFailed)
    assert (told.received_bytes, told.kept_bytes, it.job.lost_bytes) == (4, 0, 4)


@pytest.mark.parametrize("rows", [[4], [-1], [0, 0]])
def test_rows_that_it_does_not_hold(rows: list[int]) -> None:
    """A worker that names a row outside of its lease, or one twice, is not believed."""
    it = Taken()
    it.lease()
    with pytest.raises(ValueError, match="not in this lease"):
        it.ended(rows, {})


def test_leftovers_of_workers_that_died() -> None:
    """The temp files of a lease without an end, less those of reported rows; each lease has names of its own."""
    it = Taken()
    first = it.lease()
    it.ended([1], {}, more=True)
    second = it.lease()
    left = list(it.job.leftovers())
    assert len(left) == len(set(left)) == 3 + 3
    assert {name.removeprefix("..bulkhaul-")[:12] for name in left} == {first.token, second.token}
    assert all(os.sep not in name for name in left)
