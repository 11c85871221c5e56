"""Defines what a manifest tells of one object, and what stands for a row that cannot be understood."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bulkhaul.model.errors import ErrorInfo, ManifestError
from bulkhaul.model.rows import Action, Row


class Listed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One object that a manifest lists.

    Attributes:
        bucket: of the source; empty where the source is a file.
        key: as it is, decoded; of a file its path.
        version_id: which version; ``null`` is one, empty is the current one.
        size_bytes: None where the manifest does not tell it.
        etag: opaque, with its quotes; empty where nobody told it.
        last_modified: in UTC; None where nobody told it.
        storage_class: empty for the standard one, or where nobody told it.
        destination: ``s3://bucket/key`` or a path; empty where it follows from the key.
        action: what a plan or a report of ours did with it; None elsewhere.
        reason: why, for people.
        is_latest: false for an older version; true where the manifest lists current objects only.
        is_delete_marker: it holds nothing, and stands for the removal of its key.
        is_null: it is the null version and current, so that it has an empty ``version_id``: reads need none.
        where: ``FILE:LINE``, from 1; of Parquet and ORC the number of the row.
    """

    bucket: str
    key: str
    version_id: str = ""
    size_bytes: int | None = None
    etag: str = ""
    last_modified: datetime | None = None
    storage_class: str = ""
    destination: str = ""
    action: Action | None = None
    reason: str = ""
    is_latest: bool = True
    is_delete_marker: bool = False
    is_null: bool = False
    where: str = ""

    @property
    def source(self) -> str:
        """``s3://bucket/key``, or the path of a file."""
        return f"s3://{self.bucket}/{self.key}" if self.bucket else self.key


class BadRow(msgspec.Struct, frozen=True, gc=False):
    """A row that cannot be planned: it is one failed row of the plan, so that the others need not fail with it.

    Attributes:
        where: ``FILE:LINE``.
        message: what is wrong, with the name of the field, and what to do.
        source: what it names, as far as it can be told; else empty.
        n: its number in the plan, -1 before it has one.
    """

    where: str
    message: str
    source: str = ""
    n: int = -1

    @property
    def error(self) -> ErrorInfo:
        """What its row of the report tells."""
        return ErrorInfo("ManifestError", self.message, self.where)

    def row(self, action: Action = Action.COPY) -> Row:
        """Return a row of a plan that cannot be done: it has no destination, and says why in ``reason``.

        It is no deletion, also in a plan of deletions: what could not be read must not be deleted.
        """
        source = self.source or self.where
        named = source.startswith(self.where)
        reason = self.message if named else f"{self.where}: {self.message}"
        return Row(n=self.n, action=action, source=source, reason=reason)

    def raised(self) -> ManifestError:
        """Return the error for callers that take no manifest with a bad row."""
        return ManifestError(self.message, self.where)


ListedPage = list[Listed | BadRow]
"""Rows in the order of their manifest; never an empty list."""

PAGE_ROWS = 1000
"""Rows of a page: as many as a page of a listing has, so that what follows is made for such pages."""
