"""What a write says about the object: type, headers, metadata, storage class, tags.

Job: read it from the headers of PutObject, CreateMultipartUpload and CopyObject. Must not know
bytes, nor the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from bulkhaul.testing.faultserver.replies import S3Error

from .objects import StoredObject

_META = "x-amz-meta-"
#: Source: S3 User Guide, "Working with object metadata": names and values together.
_MAX_METADATA_BYTES = 2048
#: Source: S3 User Guide, "Categorizing your objects using tags".
_MAX_TAGS = 10
_STORAGE_CLASSES = frozenset({
    "STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE",
    "GLACIER_IR",
})  # fmt: skip
_KEPT = (
    "Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Expires",
    "x-amz-website-redirect-location",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
)


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about an object that is not its bytes."""

    content_type: str = "binary/octet-stream"
    content_encoding: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    tags: Mapping[str, str] = field(default_factory=dict)

    def of(self, stored: StoredObject) -> StoredObject:
        """Return the object described so, modified now."""
        return replace(
            stored,
            content_type=self.content_type,
            content_encoding=self.content_encoding,
            headers=self.headers,
            metadata=self.metadata,
            storage_class=self.storage_class,
            tags=self.tags,
            last_modified=datetime.now(UTC).replace(microsecond=0),
        )


def describe(headers: Mapping[str, str]) -> Description:
    """Return what the headers of a write say.

    Raises:
        S3Error: metadata or tags are too many, or the storage class is unknown.
    """
    metadata = {name.removeprefix(_META): text for name, text in headers.items() if name.startswith(_META)}
    if sum(len(name.encode()) + len(text.encode()) for name, text in metadata.items()) > _MAX_METADATA_BYTES:
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
    storage_class = headers.get("x-amz-storage-class", "STANDARD")
    if storage_class not in _STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass", "The storage class you specified is not valid")
    return Description(
        content_type=headers.get("content-type", "binary/octet-stream"),
        content_encoding=headers.get("content-encoding"),
        headers={name: headers[name.lower()] for name in _KEPT if name.lower() in headers},
        metadata=metadata,
        storage_class=storage_class,
        tags=_tags(headers.get("x-amz-tagging", "")),
    )


def copied(source: StoredObject, headers: Mapping[str, str]) -> Description:
    """Return what CopyObject says, as its two directives choose between the source and the headers."""
    asked = describe(headers)
    if _directive(headers, "x-amz-metadata-directive") == "COPY":
        kept = {name: text for name, text in source.headers.items() if not name.startswith("x-amz-")}
        new = {name: text for name, text in asked.headers.items() if name.startswith("x-amz-")}
        asked = replace(
            asked,
            content_type=source.content_type,
            content_encoding=source.content_encoding,
            headers=kept | new,
            metadata=source.metadata,
        )
    if _directive(headers, "x-amz-tagging-directive") == "COPY":
        asked = replace(asked, tags=source.tags)
    return asked


def _directive(headers: Mapping[str, str], name: str) -> str:
    directive = headers.get(name, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise S3Error("InvalidArgument", f"Unknown {name}.")
    return directive


def _tags(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True)
    if len(pairs) > _MAX_TAGS:
        raise S3Error("BadRequest", "Object tags cannot be greater than 10")
    if len(dict(pairs)) != len(pairs):
        raise S3Error("InvalidTag", "Cannot provide multiple Tags with the same key")
    return dict(pairs)
