r"""Writes report rows as CSV for programs and spreadsheets.

RFC 4180: a header, ``\r\n`` at the end of each record, a field in quotes where it needs them; UTF-8 without a mark. The
order of ``COLUMNS`` is part of the format: a new column comes last. What is not known is an empty field. ``ended`` is
ISO 8601 in UTC, ``seconds`` has six decimals at most.

Cells stay as they are, also those that begin with ``=``, ``+``, ``-`` or ``@``: a key is data, RFC 4180 has no escape
for it, and a mark before it would name another object. A spreadsheet may take such a cell for a formula: import its
columns as text, or look at the HTML page.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import BinaryIO

from bulkhaul.jobs.reports.row_writer import text_over
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.rows import ReportRow

COLUMNS = (
    "plan",
    "n",
    "action",
    "status",
    "source",
    "destination",
    "size_bytes",
    "etag",
    "version_id",
    "source_version_id",
    "integrity",
    "seconds",
    "ended",
    "reason",
    "error_code",
    "error_service_code",
    "error_status",
    "error_message",
    "error_cause",
    "error_request_id",
    "error_attempts",
    "resumed_bytes",
    "verdict",
    "evidence",
)
"""The header."""

_NO_ERROR = ErrorInfo("", "")


class CsvWriter:
    """Writes one record a row, after the header."""

    def __init__(self, out: BinaryIO) -> None:
        self._text = text_over(out)
        self._csv = csv.writer(self._text, lineterminator="\r\n")
        self._csv.writerow(COLUMNS)

    def add(self, rows: Iterable[ReportRow]) -> None:
        """Write rows."""
        self._csv.writerows(_record(row) for row in rows)

    def finish(self) -> None:
        """Write what waits."""
        self._text.detach()


def _record(row: ReportRow) -> tuple[object, ...]:
    error = row.error or _NO_ERROR
    return (
        row.plan,
        row.n,
        row.action,
        row.status,
        row.source,
        row.destination,
        row.size,
        row.etag,
        row.version_id,
        row.source_version_id,
        row.integrity,
        round(row.seconds, 6),
        instant(row.ended),
        row.reason,
        error.code,
        error.service_code,
        error.status or None,
        error.message,
        error.cause,
        error.request_id,
        error.attempts or None,
        row.resumed_bytes,
        row.verdict,
        row.evidence,
    )


def instant(ended_s: float) -> str:
    """Return an instant as ISO 8601 in UTC, empty where it is not known or no year has it.

    >>> instant(1.5), instant(0)
    ('1970-01-01T00:00:01.500Z', '')
    """
    if not 0 < ended_s < _YEAR_10000:
        return ""
    return datetime.fromtimestamp(ended_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_YEAR_10000 = 253_402_300_799
