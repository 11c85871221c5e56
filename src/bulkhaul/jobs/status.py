"""Tells how far a job is, without a look at its rows: by its plans, its complete shards, and those under way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from bulkhaul.jobs.folder.description import Counts, Plan, Shard
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.tally import Tally
from bulkhaul.model.verdicts import Verdict
from bulkhaul.policy.costs import by_class
from bulkhaul.policy.job_rate import Span, rate, seconds_left

LOOKS: Final = 16
"""Files that are asked for side by side: in a bucket each answer takes some milliseconds."""

MAX_OPEN: Final = 24
"""Shards that are not complete and are looked into, the first ones: runs take shards in order, three at a time, and
more where the objects of some are waited for."""


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far a job is. Of each object its last try counts, so that succeeded + failed + skipped + left = planned.

    Attributes:
        planning_done: the first plan is whole; until then ``planned_rows`` grows.
        plans: the first one and its retries.
        planned_bytes: of all objects of the first plan that are to be moved.
        done_bytes: of those that succeeded.
        requests: at least so many of each operation of S3, all plans together.
        request_classes: the same by the classes that services charge for; see ``policy.costs``.
        routes: bytes of all plans by the way that they go.
        archived_rows, archived_bytes: of objects that have to be restored before they can be read.
        unknown_sizes: objects whose size is told by nobody yet; ``planned_bytes`` is without them.
        impossible: objects that cannot be moved, and fail with the reason that the plan tells.
        retrieval_requests, retrieval_bytes: of those that the job brings back, by tier, all plans together.
        unchanged: names that both sides of a sync have alike: they have no rows.
        withheld: why the deletions of a sync are not carried out; empty if they are.
        verdicts: of comparisons in their last try, how many came out in which way; empty for other kinds.
        rows_per_s, bytes_per_s: in the last minute in which rows ended.
        eta_s: how long what is left will take at that rate; None where it cannot be told.
    """

    planning_done: bool
    plans: int
    planned_rows: int
    planned_bytes: int
    succeeded: int
    failed: int
    skipped: int
    left: int
    done_bytes: int
    requests: dict[str, int]
    request_classes: dict[str, int]
    routes: dict[str, int]
    archived_rows: int
    archived_bytes: int
    unknown_sizes: int
    impossible: int
    retrieval_requests: dict[str, int]
    retrieval_bytes: dict[str, int]
    unchanged: int
    withheld: str
    verdicts: dict[str, int]
    rows_per_s: float
    bytes_per_s: float
    eta_s: float | None

    @property
    def complete(self) -> bool:
        """Whether every row of every plan has its report row."""
        return self.planning_done and not self.left

    @property
    def ok(self) -> bool:
        """Whether everything is done, and nothing failed in its last try or was withheld."""
        return self.complete and not self.failed and not self.withheld


def job_status(folder: JobFolder) -> JobStatus:
    """Return how far a job is; waits for the store.

    Raises:
        NotFound: there is no job in the folder.
        DamagedJob: a file that had to be read cannot be right.
    """
    folder.description()
    plans = folder.plans()
    if not plans:
        return _unplanned(folder)
    shards = [shard for plan in plans for shard in plan.shards]
    done = folder.done_numbers()
    ended = [shard for shard in shards if shard.number in done]
    under_way = [shard for shard in shards if shard.number not in done][:MAX_OPEN]
    spans: list[Span] = []
    totals = [Counts() for _ in plans]
    with ThreadPoolExecutor(LOOKS) as threads:
        for shard, one in zip(ended, threads.map(folder.done, ended), strict=True):
            totals[shard.plan] += one.counts
            spans.append(Span(one.began, one.ended, one.counts.rows, one.counts.size_bytes))
        for shard, (counts, found) in zip(
            under_way, threads.map(lambda one: _open(folder, one), under_way), strict=True
        ):
            totals[shard.plan] += counts
            spans += found
    return _added_up(plans, totals, spans)


def _added_up(plans: list[Plan], totals: list[Counts], spans: list[Span]) -> JobStatus:
    every = sum(totals, Counts())
    retried = sum(plan.totals.rows for plan in plans[1:])
    left = sum(plan.totals.rows for plan in plans) - every.rows
    failed = every.failed - retried
    planned_bytes = plans[0].totals.size_bytes
    now = rate(spans)
    requests = _sums([plan.totals.requests for plan in plans])
    return JobStatus(
        planning_done=True,
        plans=len(plans),
        planned_rows=plans[0].totals.rows,
        planned_bytes=planned_bytes,
        succeeded=every.succeeded,
        failed=failed,
        skipped=every.skipped,
        left=left,
        done_bytes=every.size_bytes,
        requests=requests,
        request_classes=by_class(requests),
        routes=_sums([plan.totals.routes for plan in plans]),
        archived_rows=plans[0].totals.archived_rows,
        archived_bytes=plans[0].totals.archived_bytes,
        unknown_sizes=plans[0].totals.unknown_sizes,
        impossible=plans[0].totals.impossible,
        retrieval_requests=_sums([plan.totals.retrieval_requests for plan in plans]),
        retrieval_bytes=_sums([plan.totals.retrieval_bytes for plan in plans]),
        unchanged=plans[0].totals.unchanged,
        withheld=plans[0].totals.withheld,
        verdicts=_last_verdicts(totals),
        rows_per_s=round(now.rows_per_s, 3),
        bytes_per_s=round(now.bytes_per_s, 3),
        eta_s=seconds_left(now, rows=left, size_bytes=max(0, planned_bytes - every.size_bytes)),
    )


def _unplanned(folder: JobFolder) -> JobStatus:
    """Return the status of a job whose plan is being made: its last shard tells how many rows there are so far."""
    shards = folder.shards_written()
    rows = folder.rows_before(shards)
    done = sorted(number for number in folder.done_numbers() if number < shards)
    counts, spans = Counts(), []
    with ThreadPoolExecutor(LOOKS) as threads:
        for one in threads.map(folder.done_unplanned, done):
            counts += one.counts
            spans.append(Span(one.began, one.ended, one.counts.rows, one.counts.size_bytes))
    now = rate(spans)
    return JobStatus(
        planning_done=False,
        plans=1,
        planned_rows=rows,
        planned_bytes=0,
        succeeded=counts.succeeded,
        failed=counts.failed,
        skipped=counts.skipped,
        left=rows - counts.rows,
        done_bytes=counts.size_bytes,
        requests={},
        request_classes={},
        routes={},
        archived_rows=0,
        archived_bytes=0,
        unknown_sizes=0,
        impossible=0,
        retrieval_requests={},
        retrieval_bytes={},
        unchanged=0,
        withheld="",
        verdicts=counts.verdicts,
        rows_per_s=round(now.rows_per_s, 3),
        bytes_per_s=round(now.bytes_per_s, 3),
        eta_s=None,
    )


def _last_verdicts(totals: list[Counts]) -> dict[str, int]:
    """Return the verdicts of the last tries: what was not equal is all in the next plan, and counts there."""
    if not any(counts.verdicts for counts in totals):
        return {}
    told = {str(verdict): totals[-1].verdicts.get(verdict, 0) for verdict in Verdict}
    told[Verdict.EQUAL] = sum(counts.verdicts.get(Verdict.EQUAL, 0) for counts in totals)
    return told


def _open(folder: JobFolder, shard: Shard) -> tuple[Counts, list[Span]]:
    tally = Tally()
    rows = folder.reported(shard)[1].values()
    spans = [Span(row.ended, row.ended, 1, tally.add(row)) for row in rows]
    return tally.counts, spans


def _sums(counts: list[dict[str, int]]) -> dict[str, int]:
    every: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            every[name] = every.get(name, 0) + count
    return every


__all__ = ["JobStatus", "job_status"]
