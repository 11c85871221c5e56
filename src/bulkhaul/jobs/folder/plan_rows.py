"""Reads one row of a plan, also where an earlier version wrote its time as a manifest had it.

line ─▶ a row ─▶ its time in UTC, which one without a zone is in
 ╰─▶ its time is no RFC 3339, as ``2024-05-17`` ─▶ read as the manifest's was
"""

from __future__ import annotations

from datetime import UTC

import msgspec

from bulkhaul.jobs.manifests.fields import BadField, time_of
from bulkhaul.model.rows import Row
from bulkhaul.policy.filetimes import in_utc

_decode = msgspec.json.Decoder(Row).decode


def plan_row(line: bytes) -> Row:
    """Return the row of a line; its time is in UTC.

    Raises:
        msgspec.MsgspecError: it is none; the message names the field.
        UnicodeDecodeError: a text is no UTF-8.
    """
    try:
        row = _decode(line)
    except msgspec.ValidationError:
        earlier = _of_earlier_version(line)
        if earlier is None:
            raise
        return earlier
    if row.last_modified is None or row.last_modified.tzinfo is UTC:
        return row
    try:
        return msgspec.structs.replace(row, last_modified=in_utc(row.last_modified))
    except ValueError as error:
        raise msgspec.ValidationError(f"{error} - at `$.last_modified`") from error


def _of_earlier_version(line: bytes) -> Row | None:
    """Return the row whose time is another one of ISO 8601; None if that is not what is wrong with it."""
    fields = msgspec.json.decode(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("last_modified"), str):
        return None
    try:
        return msgspec.convert({**fields, "last_modified": time_of(fields["last_modified"])}, Row)
    except BadField:
        return None
