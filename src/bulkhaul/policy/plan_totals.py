"""Adds up what the rows of a plan cost: bytes, requests by operation, objects that have to be restored first.

A request that is made once, whatever the number of rows, is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from bulkhaul.model.archives import Tier
from bulkhaul.model.limits import DEFAULT_LIMITS, MAX_DELETE_BATCH
from bulkhaul.model.preserving import Kept
from bulkhaul.model.rows import Action, Row
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, Settings
from bulkhaul.policy.blocks import SENT_BLOCK_BYTES
from bulkhaul.policy.costs import route_of
from bulkhaul.policy.layout import smallest_part_size
from bulkhaul.policy.listed_keys import ROWS_OF_A_PAGE
from bulkhaul.policy.preserving import OF_FILES

ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects have to be restored before they can be read. Source: S3 User Guide, "Working with
archived objects"; objects of INTELLIGENT_TIERING do not tell in listings."""


class Totals:
    """The running sums of one plan.

    Attributes:
        rows: all of them.
        size_bytes: of objects that are to be moved, as far as told.
        unknown_sizes: rows of which no size is told.
        impossible: rows that cannot be done, such as those of a manifest that make no sense.
        archived_rows, archived_bytes: of objects in an archive.
        routes: bytes of ``size_bytes`` by the way that they go; see ``costs.Route``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        relayed: bool = False,
        preserve: Collection[Kept] = (),
        tier: Tier | None = None,
    ) -> None:
        """Take the settings that decide about parts.

        Args:
            relayed: a copy is read here and written here.
            preserve: what copies keep, and is read of both objects.
            tier: by which archived objects are brought back; None if they are not.
        """
        self.rows = self.size_bytes = self.unknown_sizes = self.archived_rows = self.archived_bytes = 0
        self.impossible = 0
        self._part_bytes = settings.part_size_bytes or (SENT_BLOCK_BYTES if relayed else DEFAULT_PART_SIZE_BYTES)
        self._threshold_bytes = settings.multipart_threshold_bytes
        self._relayed = relayed
        self._of_copy = Counter({"HeadObject": 1}) + _reading(preserve)
        self._copies = 0
        self._tier = tier
        self.routes: dict[str, int] = {}
        self._requests = Counter[str]()
        self._deleted = self._deleted_as_planned = 0  # objects: whatever is there, those with an ETag

    def add(self, rows: Iterable[Row]) -> None:
        """Count rows."""
        for row in rows:
            self.rows += 1
            size_bytes = row.size or 0
            if row.action is Action.SKIP:
                continue
            if row.action is Action.DELETE:
                if row.source.startswith("s3://"):
                    as_planned = bool(row.etag or row.size is not None) and not row.version_id
                    self._deleted_as_planned += as_planned
                    self._deleted += not as_planned
                continue
            if row.action is Action.VERIFY:
                self.impossible += not row.destination
                places = (row.source, row.destination) if row.destination else ()
                self._requests["HeadObject"] += sum(place.startswith("s3://") for place in places)
                continue
            if row.action is not Action.RESTORE:
                if not row.destination:
                    self.impossible += 1
                    continue
                self.size_bytes += size_bytes
                if size_bytes and (route := route_of(row.action, relayed=self._relayed)) is not None:
                    self.routes[route] = self.routes.get(route, 0) + size_bytes
            self.unknown_sizes += row.size is None
            if row.storage_class in ARCHIVED:
                self.archived_rows += 1
                self.archived_bytes += size_bytes
            self._requests["ListObjectVersions"] += row.older == 0  # of each key, to see what is there already
            self._count(row, size_bytes)

    @property
    def retrieval_requests(self) -> dict[str, int]:
        """Requests that bring objects back, by tier: one for each archived one, unless it is there already."""
        return {self._tier.value: self.archived_rows} if self._tier is not None and self.archived_rows else {}

    @property
    def retrieval_bytes(self) -> dict[str, int]:
        """Bytes that are brought back, by tier."""
        return {self._tier.value: self.archived_bytes} if self._tier is not None and self.archived_rows else {}

    @property
    def requests(self) -> dict[str, int]:
        """At least so many requests of each operation of S3: tries that fail come on top.

        Of objects that are back already fewer are made.
        """
        looks = Counter({name: count * self._copies for name, count in self._of_copy.items()})
        restores = sum(self.retrieval_requests.values())
        every = self._requests + looks + self._deletions() + Counter({"RestoreObject": restores})
        return dict(sorted(every.items()))

    def _deletions(self) -> Counter[str]:
        """Return the requests of deletions; of few objects that have to be as planned each is asked for by itself."""
        pages, rest = divmod(self._deleted_as_planned, MAX_DELETE_BATCH)
        alone = rest if rest < ROWS_OF_A_PAGE else 0
        pages += rest > alone
        batches = -(-self._deleted // MAX_DELETE_BATCH) + pages
        found = {"ListObjectsV2": pages, "DeleteObjects": batches, "HeadObject": alone, "DeleteObject": alone}
        return +Counter(found)

    def _count(self, row: Row, size_bytes: int) -> None:
        if row.action is Action.RESTORE:
            return  # how many are archived is told; the others need nothing
        if row.action is Action.MARK:
            self._requests["DeleteObject"] += 1
            return
        parts = self._parts(size_bytes)
        small = size_bytes < self._threshold_bytes
        if row.action is Action.DOWNLOAD:
            marker = row.size == 0 and row.destination.endswith("/")
            self._requests["GetObject"] += parts
            self._requests["HeadObject"] += not marker and (parts != 1 or not row.etag)
            return
        if row.action is Action.COPY:
            self._copies += 1
            if self._relayed:
                self._requests["GetObject"] += min(parts, 1) if small else parts
        copied = row.action is Action.COPY and not self._relayed
        if small:
            self._requests["CopyObject" if copied else "PutObject"] += 1
        else:
            self._requests["CreateMultipartUpload"] += 1
            self._requests["UploadPartCopy" if copied else "UploadPart"] += parts
            self._requests["CompleteMultipartUpload"] += 1

    def _parts(self, size_bytes: int) -> int:
        part_bytes, most = self._part_bytes, DEFAULT_LIMITS.max_parts
        if part_bytes * most < size_bytes:
            part_bytes = smallest_part_size(size_bytes, max_parts=most)
        return -(-size_bytes // part_bytes)


def _reading(preserve: Collection[Kept]) -> Counter[str]:
    """Return the requests that read of a source what its copy keeps, and then of the copy what it has."""
    both = Counter[str]()
    if Kept.TAGS in preserve:
        both["GetObjectTagging"] = 2
    if Kept.ACL in preserve:
        both["GetObjectAcl"] = 2
    if Kept.LOCK in preserve:
        both["GetObjectRetention"] = both["GetObjectLegalHold"] = 2
    if {Kept.METADATA, Kept.STORAGE_CLASS, *OF_FILES} & set(preserve):
        both["HeadObject"] = 1
    return both


__all__ = ["ARCHIVED", "Totals"]
