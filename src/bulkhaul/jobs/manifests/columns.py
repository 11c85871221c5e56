"""Finds the fields of a row by the names of an inventory's columns, never by their position.

Bucket, Key, VersionId, ETag … (CSV) and bucket, key, version_id, e_tag … (Parquet, ORC) are the same names without case
and underscores. Source: S3 User Guide, "Locating your inventory list", examples of manifest.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bulkhaul.jobs.manifests.fields import (
    BadField,
    bucket_name,
    class_of,
    flag_of,
    quoted_etag,
    size_of,
    text_of,
    time_of,
)
from bulkhaul.jobs.manifests.listed import Listed
from bulkhaul.model.errors import ManifestError

USED = ("bucket", "key", "versionid", "islatest", "isdeletemarker", "size", "lastmodifieddate", "etag", "storageclass")
"""The columns that are read, by their plain names; the first two must be there."""


def plain_name(name: str) -> str:
    """Return a column's name as all formats have it.

    >>> plain_name("LastModifiedDate") == plain_name("last_modified_date")
    True
    """
    return name.replace("_", "").lower()


class Columns:
    """The columns of one file.

    Raises:
        ManifestError: bucket or key is not among them, or a column that is read stands there twice.
    """

    def __init__(self, names: Sequence[str], subject: str) -> None:
        self.names = tuple(names)
        plain = [plain_name(name) for name in names]
        for required, called in (("bucket", "Bucket"), ("key", "Key")):
            if required not in plain:
                raise ManifestError(f"the schema has no column {called}: {', '.join(names)[:200]}", subject)
        if twice := next((name for name in USED if plain.count(name) > 1), ""):
            raise ManifestError(f"the schema has the column {names[plain.index(twice)]} twice", subject)
        self._at = {name: plain.index(name) for name in USED if name in plain}

    def names_used(self) -> list[str]:
        """Return the names of the columns that are read, as the file has them."""
        return [self.names[at] for at in self._at.values()]

    def listed(self, cells: Sequence[object], where: str, *, decode: Callable[[str], str]) -> Listed:
        """Return the row.

        An all-versions inventory leaves the version of null versions empty. The current object needs none, an older
        one is asked for as ``null``; so is any that is deleted. Source: S3 User Guide, "Converting empty version ID
        strings …".

        Args:
            cells: object[columns], in the order of the file.
            decode: makes the key of what the file has.

        Raises:
            BadField: a field is wrong; the text names it.
        """

        def cell(name: str) -> object:
            at = self._at.get(name)
            return None if at is None else cells[at]

        name = "bucket"
        try:
            bucket = bucket_name(text_of(cell(name)))
            name = "key"
            key = decode(text_of(cell(name)))
            name = "islatest"
            is_latest = flag_of(cell(name), default=True)
            name = "versionid"
            version_id = text_of(cell(name)) or ("" if is_latest else "null")
            name = "isdeletemarker"
            is_delete_marker = flag_of(cell(name), default=False)
            name = "size"
            size_bytes = size_of(cell(name))
            name = "lastmodifieddate"
            last_modified = time_of(cell(name))
            name = "etag"
            etag = quoted_etag(cell(name))
            name = "storageclass"
            storage_class = class_of(cell(name))
        except BadField as error:
            raise BadField(f"the field {self.names[self._at[name]]}: {error}") from None
        return Listed(
            bucket=bucket,
            key=key,
            version_id=version_id,
            size_bytes=size_bytes,
            etag=etag,
            last_modified=last_modified,
            storage_class=storage_class,
            is_latest=is_latest,
            is_delete_marker=is_delete_marker,
            is_null="versionid" in self._at and not version_id,
            where=where,
        )
