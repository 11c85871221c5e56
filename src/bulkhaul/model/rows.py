"""Defines the rows of plans and of reports: what is to become of one object, and what became of it.

Both are values with plain fields, written one a line. A report row repeats what a later plan needs of it, so that the
report of a run is the manifest of the next one.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec

from bulkhaul.model.errors import ErrorInfo
from bulkhaul.model.objects import Integrity
from bulkhaul.model.verdicts import Evidence, Verdict

IN_FILES: Final = {"size": "size_bytes"}
"""What files of jobs call a field: there a unit stands in the name."""


class Action(StrEnum):
    """What is to be done with an object; ``skip`` is nothing, for the reason that its row gives.

    ``restore``: it is brought back from its archive, and not moved. ``mark``: its deletion is made again where its
    versions are copied, by a delete marker. ``verify``: it is compared with what is at the destination, and nothing is
    changed.
    """

    DOWNLOAD = "download"
    UPLOAD = "upload"
    COPY = "copy"
    MARK = "mark"
    DELETE = "delete"
    RESTORE = "restore"
    VERIFY = "verify"
    SKIP = "skip"


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=IN_FILES):
    """One planned object.

    Attributes:
        n: its number in the plan, from 0.
        source: ``s3://bucket/key``, where the key stands as it is (``*``, ``?`` and a slash at its end are its own), or
            the path of a file. Of a deletion: what is deleted.
        destination: likewise; empty for a deletion and a restore.
        size: in bytes (``size_bytes`` in files), as the listing or the manifest tells it; None where it does not.
        etag: opaque, with its quotes; empty where nobody told it. The object must still have it. Of a file that
            a sync deletes: what it is known by (inode, size, mtime).
        version_id: of the source, empty for the current one.
        last_modified: of the source, in UTC; None where nobody told it.
        storage_class: of the source, empty for the standard one.
        reason: why this is done, or why nothing is; for people.
        older: where every version is copied: how many older ones, delete markers among them, its key has; the
            destination must have as many before it. None where only this object is meant.
    """

    n: int
    action: Action
    source: str
    destination: str = ""
    size: int | None = None
    etag: str = ""
    version_id: str = ""
    last_modified: datetime | None = None
    storage_class: str = ""
    reason: str = ""
    older: int | None = None


class Status(StrEnum):
    """How a row ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class ReportRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename=IN_FILES):
    """What became of one planned object: exactly one row for each row of the plan.

    Attributes:
        n, action, source, destination: of its row in the plan.
        plan: 0 for the first plan of a job, 1 for its first retry …
        size: of the object in bytes (``size_bytes`` in files), None where it was never learnt.
        etag, version_id: of the object at the destination; of one that was not stored by us, of the source.
        source_version_id: of the version that was asked for, empty for the current one.
        integrity: what success rests on.
        seconds: from its beginning to its end.
        ended: when, in seconds since the epoch.
        reason: why it was skipped, else why it was done.
        error: what went wrong; None unless it failed.
        resumed_bytes: what an interrupted run had moved already, and was not moved again.
        older: of its row in the plan.
        verdict, evidence: of a comparison: how it came out, and what that rests on; only what is equal has succeeded.
    """

    n: int
    action: Action
    source: str
    status: Status
    destination: str = ""
    plan: int = 0
    size: int | None = None
    etag: str = ""
    version_id: str = ""
    source_version_id: str = ""
    integrity: Integrity | None = None
    seconds: float = 0.0
    ended: float = 0.0
    reason: str = ""
    error: ErrorInfo | None = None
    resumed_bytes: int = 0
    older: int | None = None
    verdict: Verdict | None = None
    evidence: Evidence | None = None
