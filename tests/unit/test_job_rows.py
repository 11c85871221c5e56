"""The lines of a job's run say what became of each object: a deletion is no copy."""

from __future__ import annotations

import json

import pytest

from bulkhaul.cli.job_rows import results_of
from bulkhaul.cli.report import TransferReport
from bulkhaul.model.rows import Action, ReportRow, Status
from bulkhaul.model.verdicts import Evidence, Verdict


@pytest.mark.parametrize(
    ("action", "operation"),
    [
        (Action.DOWNLOAD, "cp"),
        (Action.UPLOAD, "cp"),
        (Action.COPY, "cp"),
        (Action.MARK, "cp"),
        (Action.DELETE, "rm"),
        (Action.RESTORE, "restore"),
        (Action.VERIFY, "verify"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_line_names_what_was_done(action: Action, operation: str, as_json: bool) -> None:
    """It begins with the command that does only this, and in JSON that is the operation."""
    lines: list[str] = []
    report = TransferReport(lines.append, lines.append, operation="job", as_json=as_json)
    row = ReportRow(n=0, action=action, source="s3://b/k", status=Status.SUCCEEDED)
    if action is Action.VERIFY:
        row = ReportRow(
            n=0, action=action, source="s3://b/k", status=row.status, verdict=Verdict.EQUAL, evidence=Evidence.MD5
        )
    for result in results_of(iter([row])):
        report.ended(result)
    (line,) = lines
    assert (json.loads(line)["operation"] if as_json else line.split()[0]) == operation
    assert report.counts.verified == 1
