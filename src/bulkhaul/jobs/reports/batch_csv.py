r"""Writes report rows as S3 Batch Operations writes its completion reports (Report_CSV_20180820).

Bucket, Key, VersionId, TaskStatus, HTTPStatusCode, ErrorCode, ResultMessage; no header, a field in quotes only where it
needs them. The schema that AWS names has ErrorCode before HTTPStatusCode, but every record that AWS shows, and every
one that it is known to have written, has them the other way round; so have these.

    bucket,a%20key,,succeeded,200,,Successful
    bucket,b,,failed,403,AccessDenied,Access Denied

Bucket, key and version are those of the object that was asked for; of an upload, those of the one to be stored. The
path of a file stands as the key of no bucket. Keys are percent-encoded but for letters, digits, ``-_.~`` and the slash.
A space is ``%20`` and a plus ``%2B``, so that decoders which take a plus for a space read them too. Batch Operations
knows no task that is skipped; here its TaskStatus is ``skipped`` and its message the reason: nobody counts it as done.

Source: S3 User Guide, "Examples: S3 Batch Operations completion reports" (the records) and "Specifying a manifest"
(keys are URL-encoded; a report repeats them as the manifest has them).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import BinaryIO
from urllib.parse import quote

from bulkhaul.jobs.reports.row_writer import split_url, text_over
from bulkhaul.model.rows import Action, ReportRow, Status


class BatchCsvWriter:
    """Writes one record a row."""

    def __init__(self, out: BinaryIO) -> None:
        self._text = text_over(out)
        self._csv = csv.writer(self._text, lineterminator="\r\n")

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Write rows."""
        self._csv.writerows(_record(row) for row in rows)

    def finish(self) -> None:
        """Write what waits."""
        self._text.detach()


def _record(row: ReportRow) -> tuple[object, ...]:
    bucket, key, version_id = _object(row)
    encoded = quote(key, errors="backslashreplace")
    if row.status == Status.SUCCEEDED:
        return (bucket, encoded, version_id, "succeeded", 200, "", "Successful")
    if row.status == Status.SKIPPED:
        return (bucket, encoded, version_id, "skipped", "", "", row.reason)
    if row.error is None:
        return (bucket, encoded, version_id, "failed", "", "", "")
    code = row.error.service_code or row.error.code
    return (bucket, encoded, version_id, "failed", row.error.status or "", code, row.error.message)


def _object(row: ReportRow) -> tuple[str, str, str]:
    source = split_url(row.source)
    if source is not None:
        return *source, row.source_version_id
    destination = split_url(row.destination)
    if destination is not None:
        return *destination, row.version_id if row.action == Action.UPLOAD else ""
    return "", row.source, ""
