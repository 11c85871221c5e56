"""Rows of reports that tests share: plain ones, and any that a hostile store could bring about."""

from __future__ import annotations

import io
from collections.abc import Iterable

from hypothesis import strategies as st

from bulkhaul.jobs.reports.writing import ReportFormat, write_report
from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Integrity
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.verdicts import Evidence, Verdict

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a,b;c\td",
    'say "hi"',
    "line\r\nbreak\n",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(1)",
    "\u202egnp.exe",
    "\u2066isolated",
    "\x00\x07\x1b[2J\x7f\x9b",
    "\u2028\u2029\ufeff",
    "100%25 a+b c",
    "مرحبا/שלום",
    "𝔘𝔫𝔦",
    "&amp;&lt;",
    "]]><!--",
    "a//b/",
)
"""Keys that some reader takes for something else."""

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
errors = st.builds(
    ErrorInfo,
    code=st.sampled_from(("AccessDenied", "NotFound")),
    message=texts,
    cause=texts,
    status=st.sampled_from((0, 403, 404, 503)),
    service_code=texts,
    request_id=texts,
    attempts=st.integers(0, 9),
)
seconds = st.floats(0, 1e6)
ended = st.floats(0, 4e9)


@st.composite
def report_rows(draw: st.DrawFn) -> ReportRow:
    """Any row, with an error exactly if it failed."""
    status = draw(st.sampled_from(Status))
    return ReportRow(
        n=draw(st.integers(0, 2**53)),
        action=draw(st.sampled_from(Action)),
        source=f"s3://bucket/{draw(texts)}",
        status=status,
        destination=draw(st.one_of(st.just(""), texts.map("/data/{}".format))),
        plan=draw(st.integers(0, 3)),
        size=draw(st.one_of(st.none(), st.integers(0, 2**50))),
        etag=draw(texts),
        version_id=draw(texts),
        source_version_id=draw(texts),
        integrity=draw(st.sampled_from((None, *Integrity))),
        seconds=draw(seconds),
        ended=draw(ended),
        reason=draw(texts),
        error=draw(errors) if status == Status.FAILED else None,
        verdict=draw(st.sampled_from((None, *Verdict))),
        evidence=draw(st.sampled_from((None, *Evidence))),
    )


def row(n: int, status: Status = Status.SUCCEEDED, source: str = "", **fields: object) -> ReportRow:
    """Return a plain row of a download."""
    source = source or f"s3://bucket/folder/{n:04}"
    return ReportRow(n=n, action=Action.DOWNLOAD, source=source, status=status, **fields)  # type: ignore[arg-type]


def failed(n: int, source: str = "", code: str = "AccessDenied", service_code: str = "", plan: int = 0) -> ReportRow:
    """Return a row that failed."""
    error = ErrorInfo(code, f"no: {code}", status=403, service_code=service_code)
    return row(n, Status.FAILED, source, error=error, plan=plan)


def written(rows: Iterable[ReportRow], report_format: ReportFormat) -> bytes:
    """Return a report."""
    out = io.BytesIO()
    write_report(rows, report_format, out)
    return out.getvalue()
