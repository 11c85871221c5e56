"""Makes of the report rows of a job what the lines of a command are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.model.results import RowResult, TransferResult
    from bulkhaul.model.rows import ReportRow


def results_of(rows: Iterator[ReportRow]) -> Iterator[TransferResult]:
    """Yield what the lines of a command are made of."""
    from bulkhaul.model.results import CheckedResult, TransferResult
    from bulkhaul.model.rows import Action, Status
    from bulkhaul.policy.selection import named_object

    for row in rows:
        bucket, key = named_object(row.destination if row.destination.startswith("s3://") else row.source)
        result = TransferResult(
            source=row.source,
            destination=row.destination,
            bucket=bucket,
            key=key,
            size_bytes=row.size_bytes or 0,
            etag=row.etag,
            version_id=row.version_id,
            source_version_id=row.source_version_id if row.older is not None else "",
            delete_marker=row.action is Action.MARK,
            integrity=row.integrity,
            seconds=row.seconds,
            skipped=row.reason or "nothing was to be done" if row.status is Status.SKIPPED else "",
            failure=row.error,
            resumed_bytes=row.resumed_bytes,
        )
        if row.verdict is not None:
            told = {name: getattr(result, name) for name in result.__struct_fields__}
            result = CheckedResult(**told, verdict=row.verdict, evidence=row.evidence)
        yield result


def row_results_of(rows: Iterator[ReportRow]) -> Iterator[RowResult]:
    """Yield what the lines of a command are made of that does several things, and tells why."""
    from bulkhaul.model.results import RowResult

    for row in rows:
        (result,) = results_of(iter([row]))
        fields = {name: getattr(result, name) for name in result.__struct_fields__}
        yield RowResult(**fields, action=row.action, reason=row.reason)
