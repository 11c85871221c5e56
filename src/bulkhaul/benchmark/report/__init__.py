"""Tells people what a benchmark measured: as a page, as Markdown, as CSV, as JSON, and as pictures.

Result ─▶ sections of sentences, tables and figures ─▶ html, markdown, pngs
       ─▶ csv_files
"""

from __future__ import annotations

from bulkhaul.benchmark.report.comma_separated import csv_files
from bulkhaul.benchmark.report.markdown import markdown
from bulkhaul.benchmark.report.page import html
from bulkhaul.benchmark.report.writing import REPORT_FORMATS, ReportFormat, pngs, write

__all__ = ["REPORT_FORMATS", "ReportFormat", "csv_files", "html", "markdown", "pngs", "write"]
