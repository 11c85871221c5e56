"""Defines the values of a job's small files: what the job is, what its plans hold, how its shards ended."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Any, Final

import msgspec

from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.verify_options import VerifyOptions
from bulkhaul.model.archives import RestoreOptions
from bulkhaul.model.preserving import Kept
from bulkhaul.model.writing import ObjectOptions

FORMAT: Final = 1
"""Version of the files of a job. A program refuses a newer one: it could not account for what it does not know."""


class Kind(StrEnum):
    """What a job does with its objects."""

    COPY = "copy"
    DELETE = "delete"
    RESTORE = "restore"
    SYNC = "sync"
    VERIFY = "verify"


class JobDescription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``job.json``: what was asked for; it never changes.

    Attributes:
        kind: see ``Kind``.
        source: ``s3://…`` or an absolute path: what is listed; empty where the rows came from elsewhere.
        destination: likewise; empty for a deletion.
        manifests: what is read instead of a listing: absolute paths, and objects.
        include, exclude: patterns for paths below the source.
        follow_symlinks: of an upload; see ``upload_many``.
        all_versions: every version and delete marker is copied.
        sync: of a sync, which has its own patterns; None for other kinds.
        comparison: how both places are compared, None for other kinds; its patterns are those of the job.
        options: how objects are stored; None keeps the headers of a copy.
        preserve: what copies between buckets keep, or fail.
        restore: how archived objects are brought back; None leaves each of them a failure.
        settings: fields of ``Settings`` that were chosen, and no secret among them.
        origin: likewise, of the service of the source, where it is not that of the destination.
        sse_c: objects are encrypted with a customer's key, which every run has to be given again.
        made_by: program and version.
        made: ISO 8601.
        format: version of the files, ``FORMAT``.
    """

    format: int
    kind: Kind
    source: str = ""
    destination: str = ""
    manifests: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    follow_symlinks: bool | None = None
    all_versions: bool = False
    sync: SyncOptions | None = None
    comparison: VerifyOptions | None = None
    options: ObjectOptions | None = None
    preserve: tuple[Kept, ...] = ()
    restore: RestoreOptions | None = None
    settings: dict[str, Any] = {}
    origin: dict[str, Any] | None = None
    sse_c: bool = False
    made_by: str = ""
    made: str = ""


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a plan.

    Attributes:
        number: counts through all plans of the job.
        first: ``n`` of its first row; the others follow without a gap.
        size_bytes: of its objects, as far as they are known.
        sha256: of its file, in hexadecimal digits.
        deletes: its rows are deletions, all of them; of other shards none is.
    """

    number: int
    plan: int
    first: int
    rows: int
    size_bytes: int
    sha256: str
    deletes: bool = False


class PlanTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan adds up to.

    Attributes:
        requests: at least so many of each operation of S3.
        routes: bytes by the way that they go; see ``policy.costs.Route``.
        archived_rows, archived_bytes: of objects that have to be restored before they can be read.
        retrieval_requests, retrieval_bytes: of those that the job brings back, by tier.
        unknown_sizes: rows whose size nobody told.
        impossible: rows that cannot be done, and fail with the reason that their plan tells.
        unchanged: names that need no row, because both sides of a sync have them alike.
        withheld: why no deletion of the plan may be carried out; empty if all may.
    """

    rows: int = 0
    size_bytes: int = 0
    requests: dict[str, int] = {}
    routes: dict[str, int] = {}
    archived_rows: int = 0
    archived_bytes: int = 0
    retrieval_requests: dict[str, int] = {}
    retrieval_bytes: dict[str, int] = {}
    unknown_sizes: int = 0
    impossible: int = 0
    unchanged: int = 0
    withheld: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """``plan.json`` of the first plan, ``plan-1.json`` … of retries: written last, when all shards are there."""

    plan: int
    totals: PlanTotals
    shards: tuple[Shard, ...]


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One file of report rows. ``name``: below the folder. ``sha256``: in hexadecimal digits."""

    name: str
    rows: int
    sha256: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How rows ended.

    Attributes:
        size_bytes: of those that succeeded.
        verdicts: how many comparisons came out in which way, by ``Verdict``.
    """

    succeeded: int = 0
    failed: int = 0
    skipped: int = 0
    size_bytes: int = 0
    verdicts: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """All of them."""
        return self.succeeded + self.failed + self.skipped

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
            size_bytes=self.size_bytes + other.size_bytes,
            verdicts=dict(Counter(self.verdicts) + Counter(other.verdicts)),
        )


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """``done/000123``: every row of the shard has its report row in one of these segments, and no other one counts.

    Attributes:
        runner: who found it complete.
        began, ended: of the first row that ended and of the last one, in seconds since the epoch.
    """

    counts: Counts
    segments: tuple[Segment, ...]
    runner: str = ""
    began: float = 0.0
    ended: float = 0.0


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """``report/000123.2.json``: this runner makes the second attempt at a shard; its segments begin with that name."""

    runner: str
    began: float
