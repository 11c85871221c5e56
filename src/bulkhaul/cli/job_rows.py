"""Makes of the report rows of a job what the lines of a command are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.model.results import CheckedResult, RowResult
    from bulkhaul.model.rows import ReportRow


def results_of(rows: Iterator[ReportRow]) -> Iterator[RowResult | CheckedResult]:
    """Yield what the lines of a command are made of that does several things, and tells why."""
    from bulkhaul.model.results import CheckedResult, RowResult
    from bulkhaul.model.rows import Action, Status
    from bulkhaul.policy.selection import named_object

    for row in rows:
        bucket, key = named_object(row.destination if row.destination.startswith("s3://") else row.source)
        told: dict[str, Any] = {
            "source": row.source,
            "destination": row.destination,
            "bucket": bucket,
            "key": key,
            "size": row.size or 0,
            "etag": row.etag,
            "version_id": row.version_id,
            "source_version_id": row.source_version_id if row.older is not None else "",
            "delete_marker": row.action is Action.MARK,
            "integrity": row.integrity,
            "seconds": row.seconds,
            "skipped": row.reason or "nothing was to be done" if row.status is Status.SKIPPED else "",
            "failure": row.error,
            "resumed_bytes": row.resumed_bytes,
        }
        if row.verdict is not None:
            yield CheckedResult(**told, verdict=row.verdict, evidence=row.evidence)
        else:
            yield RowResult(**told, action=row.action, reason=row.reason)
