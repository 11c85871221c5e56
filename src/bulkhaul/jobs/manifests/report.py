"""Reads a report of ours as a manifest: the objects that failed, to be done once more, or all of them."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedIOBase

import msgspec

from bulkhaul.jobs.manifests.fields import BadField
from bulkhaul.jobs.manifests.jsonl import source_of
from bulkhaul.jobs.manifests.lines import TOO_LONG, numbered_lines
from bulkhaul.jobs.manifests.listed import BadRow, Listed
from bulkhaul.model.rows import Action, ReportRow, Status

_ETAG_OF_SOURCE = (Action.DOWNLOAD, Action.DELETE)
"""What was not stored by us: the report has the ETag of the source, not of the destination."""


def report_rows(file: BufferedIOBase, name: str, *, failed_only: bool) -> Iterator[Listed | BadRow]:
    """Yield the object of each row of the report, or of each that failed; each keeps its destination.

    A row that could not be planned cannot be planned now: where its key leads may be the place of another object.

    A report over several plans has a row for each try. Give that of the last plan, or ``job retry`` the job itself.
    """
    decoder = msgspec.json.Decoder(ReportRow)
    for number, line in numbered_lines(file):
        where = f"{name}:{number}"
        if line is None:
            yield BadRow(where, TOO_LONG)
            continue
        try:
            row = decoder.decode(line)
            if _was_not_planned(row):
                yield BadRow(where, row.reason or "it had no destination", row.source)
            elif row.status is Status.FAILED or not failed_only:
                yield _listed(row, where)
        except BadField as error:
            yield BadRow(where, str(error))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield BadRow(where, f"no row of a report: {error}")


def _was_not_planned(row: ReportRow) -> bool:
    return row.status is Status.FAILED and row.action is not Action.DELETE and not row.destination


def _listed(row: ReportRow, where: str) -> Listed:
    bucket, key = source_of(row.source)
    return Listed(
        bucket=bucket,
        key=key,
        version_id=row.source_version_id,
        size_bytes=row.size_bytes,
        etag=row.etag if row.action in _ETAG_OF_SOURCE else "",
        destination=row.destination,
        action=row.action,
        reason=row.reason,
        where=where,
    )
