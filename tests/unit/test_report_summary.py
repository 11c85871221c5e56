"""The summary of a report: planned = succeeded + failed + skipped + left, over all plans of a job."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bulkhaul.jobs.reports.summary import Summary, Tally
from bulkhaul.model.objects import Integrity
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.verdicts import Evidence, Verdict
from bulkhaul.policy.row_groups import total
from tests.unit.reported import failed, report_rows, row


def summed(rows: list[ReportRow], planned: dict[int, int] | None = None) -> Summary:
    """Return the summary of rows."""
    tally = Tally()
    tally.add_all(rows)
    return tally.summary(planned)


def adds_up(summary: Summary) -> bool:
    """Return whether each object is told of once."""
    return summary.objects == summary.succeeded + summary.failed + summary.skipped + summary.left


def test_every_row_is_counted() -> None:
    """Counts, bytes, evidence and times are those of the rows."""
    told = summed(
        [
            row(0, size=10, integrity=Integrity.CHECKSUM, seconds=2.0, ended=100.0),
            row(1, size=5, integrity=Integrity.ETAG, seconds=1.0, ended=103.0),
            row(2, Status.SKIPPED, size=99, reason="same size and time"),
            failed(3, service_code="AllAccessDisabled"),
        ]
    )
    assert (told.objects, told.succeeded, told.failed, told.skipped, told.left) == (4, 2, 1, 1, 0)
    assert (told.size_bytes, told.began_s, told.ended_s, told.seconds) == (15, 98.0, 103.0, 5.0)
    assert told.integrity == {"checksum": 1, "etag": 1}
    assert told.failures[0].cause == ("AccessDenied", "AllAccessDisabled")
    assert told.skips[0].cause == ("same size and time",)
    assert not told.complete


def test_an_object_that_a_retry_mended_has_not_failed() -> None:
    """Three failed, a retry mended two: one has failed, and it is the one that is told of."""
    first = [row(0), *(failed(n, code="Throttled") for n in (1, 2, 3))]
    retry = [row(0, plan=1), row(1, plan=1), failed(2, "s3://bucket/last", plan=1)]
    for rows in (first + retry, retry + first):
        told = summed(rows)
        assert (told.objects, told.succeeded, told.failed, told.retried, told.left) == (4, 3, 1, 3, 0)
        assert adds_up(told)
        assert [(g.cause, g.count) for g in told.failures] == [(("AccessDenied",), 1)]


def compared(n: int, verdict: Verdict, evidence: Evidence | None, plan: int = 0) -> ReportRow:
    """Return the row of a comparison."""
    status = Status.SUCCEEDED if verdict is Verdict.EQUAL else Status.FAILED
    told = row(n, status, size=10, verdict=verdict, evidence=evidence, plan=plan)
    return msgspec.structs.replace(told, action=Action.VERIFY)


def test_the_last_verdict_counts() -> None:
    """What was not equal is told as its retry found it; what is equal stays; and nothing was moved."""
    first = [
        compared(0, Verdict.EQUAL, Evidence.MD5),
        compared(1, Verdict.DIFFERENT, Evidence.SIZE),
        compared(2, Verdict.DIFFERENT, Evidence.MD5),
        compared(3, Verdict.UNDECIDABLE, None),
    ]
    assert summed(first).verdicts == {
        "equal": {"md5": 1},
        "different": {"size": 1, "md5": 1},
        "undecidable": {"": 1},
    }
    retry = [
        compared(0, Verdict.EQUAL, Evidence.BYTES, plan=1),
        compared(1, Verdict.MISSING, None, plan=1),
        compared(2, Verdict.UNDECIDABLE, None, plan=1),
    ]
    for rows in (first + retry, retry + first):
        told = summed(rows)
        assert told.verdicts == {"equal": {"md5": 1, "bytes": 1}, "missing": {"": 1}, "undecidable": {"": 1}}
        assert (told.size_bytes, told.integrity, told.failed) == (0, {}, 2)


def test_what_is_planned_and_not_reported_waits() -> None:
    """A row that is missing shows, and so does a retry that has only begun."""
    told = summed([row(0), failed(1), failed(2)], {0: 4})
    assert (told.objects, told.left, told.complete) == (4, 1, False)
    told = summed([row(0), failed(1), failed(2)], {0: 3, 1: 2})
    assert (told.objects, told.succeeded, told.failed, told.left) == (3, 1, 0, 2)
    assert told.failures == ()
    assert not told.complete


def test_a_row_that_nobody_planned_shows() -> None:
    """One row too many is no complete report."""
    told = summed([row(0), row(1)], {0: 1})
    assert (told.left, told.excess) == (-1, 1)
    assert not told.complete


def test_nothing_is_complete() -> None:
    """A plan without rows has nothing left to do."""
    assert summed([]).complete
    assert summed([], {0: 0}).complete


@given(st.lists(report_rows(), max_size=30))
def test_sums_equal_the_rows(rows: list[ReportRow]) -> None:
    """Whatever the rows are, each is in exactly one count, and every object is accounted for."""
    told = summed(rows)
    ends = Counter(row.status for row in rows)
    assert adds_up(told)
    assert told.succeeded == ends[Status.SUCCEEDED]
    assert told.skipped == ends[Status.SKIPPED] == total(told.skips)
    assert sum(plan.failed for plan in told.plans) == ends[Status.FAILED]
    succeeded = [row for row in rows if row.status == Status.SUCCEEDED]
    assert told.size_bytes == sum(row.size or 0 for row in succeeded if row.action != Action.VERIFY)
    assert sum(told.integrity.values()) == sum(row.verdict is None for row in succeeded)
    assert sum(told.actions.values()) == len(rows)
    assert sum(part.objects for part in told.throughput) == sum(
        row.ended > 0 for row in rows if row.status == "succeeded"
    )
    latest = max((row.plan for row in rows), default=0)
    assert total(told.failures) == sum(row.status == Status.FAILED for row in rows if row.plan == latest)


def test_rows_too_many_in_one_plan_make_up_for_none_of_another() -> None:
    """What adds up over all plans may be wrong in each of them."""
    told = summed([row(0), row(0, plan=1), row(1, plan=1)], {0: 2, 1: 1})
    assert (told.left, told.excess, told.complete) == (0, 1, False)
