"""Defines the result of a transfer and its progress, as callers get them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from bulkhaul.model.errors import ErrorInfo, TransferError, error_of
from bulkhaul.model.objects import Integrity
from bulkhaul.model.rows import Action
from bulkhaul.model.verdicts import Evidence, Verdict

ProgressCallback = Callable[[int], None]
"""Called with the bytes done since the last call, never a total, in any order and on any thread; it must be quick.

The sum is the size of the object on success, also after a download began anew (C48, C49). No call for an empty object
or for a copy within a service.
"""


class TransferResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome for one object.

    Attributes:
        source: ``s3://bucket/key``.
        destination: local path.
        size: length of the object in bytes, 0 where it was never learnt.
        source_etag: of the object that was copied, where the source is one.
        source_version_id: of the version that was copied, where every version is.
        last_modified: of the source, as its service says, in UTC; None where untold.
        delete_marker: what was made, or removed, is one, and there is no object.
        integrity: what success rests on; None unless verified.
        seconds: from plan to publish.
        resumed_bytes: what an earlier run had moved already, and was not moved again.
        skipped: why nothing had to be done, empty otherwise.
        failure: what went wrong; None on success.
        row: ``Row.n`` of the planned row that it tells of, -1 where there is none.
    """

    source: str
    destination: str
    bucket: str
    key: str
    size: int = 0
    etag: str = ""
    source_etag: str = ""
    version_id: str = ""
    source_version_id: str = ""
    delete_marker: bool = False
    last_modified: datetime | None = None
    integrity: Integrity | None = None
    seconds: float = 0.0
    parts: int = 0
    retries: int = 0
    resumed_bytes: int = 0
    skipped: str = ""
    failure: ErrorInfo | None = None
    row: int = -1

    @property
    def ok(self) -> bool:
        """Whether the object is at its destination, verified."""
        return self.failure is None and not self.skipped

    @property
    def error(self) -> TransferError | None:
        """The failure as an exception, None on success."""
        return None if self.failure is None else error_of(self.failure)


class RowResult(TransferResult, frozen=True, kw_only=True):
    """The outcome of one row of a plan.

    Attributes:
        action: what was to be done.
        reason: why.
    """

    action: Action
    reason: str = ""


class SourceResult(TransferResult, frozen=True, kw_only=True):
    """The failure of a prefix, a pattern or a folder as a whole, or of all keys that were named in a bucket."""


class CheckedResult(TransferResult, frozen=True, kw_only=True):
    """The outcome of a comparison; it is a failure unless both sides are equal.

    Attributes:
        evidence: what the verdict rests on, None where nothing was compared.
    """

    verdict: Verdict
    evidence: Evidence | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One honest total: what is planned so far and what of it is done.

    Attributes:
        planned_bytes: bytes of all objects found so far; grows until ``planning_done``.
        received_bytes: bytes of those that are on disk, checked reply by reply; never counts a byte twice.
        left_objects: of the failed ones, those whose parts are kept, so that the same call goes on with them.
        resolved: credentials are there; until then somebody may be asked for an MFA code on the terminal.
    """

    planned_objects: int = 0
    verified_objects: int = 0
    failed_objects: int = 0
    skipped_objects: int = 0
    left_objects: int = 0
    planned_bytes: int = 0
    received_bytes: int = 0
    planning_done: bool = False
    resolved: bool = True
