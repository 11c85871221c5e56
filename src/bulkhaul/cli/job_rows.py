"""Makes of the report rows of a job what the lines of a command are made of, and says what is left at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhaul.jobs.status import JobStatus
    from bulkhaul.model.results import RowResult, TransferResult
    from bulkhaul.model.rows import ReportRow


def unfinished_text(job_name: str, ended: Sequence[JobStatus]) -> str:
    """Return why a run that has ended is no success, empty if it is one.

    Args:
        ended: the status of the job at its end, none where it did not come to its end.
    """
    if not ended or ended[0].ok:
        return ""
    if ended[0].withheld:
        return ended[0].withheld
    count = ended[0].failed
    return f"{count} object{'s' * (count != 1)} failed; `bulkhaul job run {job_name} --retry-failed` tries again"


def results_of(rows: Iterator[ReportRow]) -> Iterator[TransferResult]:
    """Yield what the lines of a command are made of."""
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.rows import Status

    for row in rows:
        place = row.destination if row.destination.startswith("s3://") else row.source
        bucket, _, key = place.removeprefix("s3://").partition("/") if place.startswith("s3://") else ("", "", "")
        yield TransferResult(
            source=row.source,
            destination=row.destination,
            bucket=bucket,
            key=key,
            size_bytes=row.size_bytes or 0,
            etag=row.etag,
            version_id=row.version_id,
            integrity=row.integrity,
            seconds=row.seconds,
            skipped=row.reason or "nothing was to be done" if row.status is Status.SKIPPED else "",
            failure=row.error,
        )


def row_results_of(rows: Iterator[ReportRow]) -> Iterator[RowResult]:
    """Yield what the lines of a command are made of that does several things, and tells why."""
    from bulkhaul.model.results import RowResult

    for row in rows:
        (result,) = results_of(iter([row]))
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        yield RowResult(**fields, action=row.action, reason=row.reason)
