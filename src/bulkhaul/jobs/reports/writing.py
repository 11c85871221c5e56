"""Writes the report of a job in one of its formats to a stream: jsonl, csv, batch-csv, parquet or html."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import BinaryIO, Literal, get_args

from bulkhaul.jobs.reports.batch_csv import BatchCsvWriter
from bulkhaul.jobs.reports.html_page import HtmlWriter
from bulkhaul.jobs.reports.jsonl import JsonLinesWriter
from bulkhaul.jobs.reports.parquet import ParquetWriter
from bulkhaul.jobs.reports.plain_csv import CsvWriter
from bulkhaul.jobs.reports.reported_job import ReportedJob
from bulkhaul.jobs.reports.row_writer import RowWriter
from bulkhaul.model.errors import UsageError
from bulkhaul.model.rows import ReportRow, Status

ReportFormat = Literal["jsonl", "csv", "batch-csv", "parquet", "html"]

REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
"""The names of all formats."""

_PLAIN: dict[str, Callable[[BinaryIO], RowWriter]] = {
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "batch-csv": BatchCsvWriter,
    "parquet": ParquetWriter,
}


def write_report(
    rows: Iterable[ReportRow],
    report_format: ReportFormat,
    out: BinaryIO,
    *,
    job: ReportedJob | None = None,
    only: Collection[Status] = (),
) -> None:
    """Write rows to ``out``, which stays open; memory does not grow with their number.

    Args:
        rows: of all plans of a job, in any order; they are written in this one.
        report_format: how; the module of each says what it holds.
        out: binary; written from its position on, never sought.
        job: what the HTML page tells of the job beside its rows.
        only: rows of these ends alone; all where it is empty.

    Raises:
        Unsupported: ``parquet`` without pyarrow.
        UsageError: ``html`` of some rows only, since its sums tell of all.
        OSError: ``out`` cannot be written.
    """
    writer = _writer(report_format, out, job=job, only=only)
    writer.add(_chosen(rows, only))
    writer.finish()


def _writer(
    report_format: ReportFormat, out: BinaryIO, *, job: ReportedJob | None, only: Collection[Status]
) -> RowWriter:
    if report_format == "html":
        if only:
            raise UsageError("an HTML page adds up all rows; leave the choice of rows out, or take another format")
        return HtmlWriter(out, job or ReportedJob())
    if report_format not in _PLAIN:
        raise UsageError(f"{report_format!r} is no format of reports; take one of {', '.join(REPORT_FORMATS)}")
    return _PLAIN[report_format](out)


def _chosen(rows: Iterable[ReportRow], only: Collection[Status]) -> Iterable[ReportRow]:
    return (row for row in rows if row.status in only) if only else rows
