"""Settles the rows of a plan that need no work: those that are skipped, and those that cannot be done."""

from __future__ import annotations

from typing import Final

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.results import TransferResult
from bulkhaul.model.rows import Action, Row

REFUSALS: Final = {Action.DOWNLOAD: "UnsafeKey", Action.UPLOAD: "LocalError"}
"""The error of a row that the planner could give no destination, by what it wants."""


def settled_row(row: Row) -> Row | TransferResult:
    """Return the row, or its result where there is nothing to do."""
    if row.action is Action.SKIP:
        return _result(row, skipped=row.reason or "nothing is to be done")
    if row.action not in (Action.DELETE, Action.RESTORE, Action.VERIFY) and not row.destination:
        # A copy that was listed has a size: one without is a row of a manifest that could not be understood.
        code = REFUSALS.get(row.action, "ManifestError" if row.size is None else "UsageError")
        return _result(row, failure=ErrorInfo(code, row.reason or "it has no destination", row.source))
    return row


def _result(row: Row, *, failure: ErrorInfo | None = None, skipped: str = "") -> TransferResult:
    return TransferResult(
        source=row.source,
        destination=row.destination,
        bucket="",
        key="",
        row=row.n,
        failure=failure,
        skipped=skipped,
    )
