"""Reads the headers of a reply to HEAD into an ``ObjectHead``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bulkhaul.model.errors import OtherError, UnexpectedReply, error_of
from bulkhaul.model.objects import TOKEN_KEY, Content, ObjectHead
from bulkhaul.wire import told
from bulkhaul.wire.documents import refused
from bulkhaul.wire.instants import instant
from bulkhaul.wire.option_headers import METADATA_PREFIX, WEBSITE_REDIRECT
from bulkhaul.wire.replies.fields import storage_class
from bulkhaul.wire.replies.restore import told_restore
from bulkhaul.wire.reply import stored_checksum, transcoded

CONTENT_HEADERS = (
    "content_type", "content_disposition", "content_encoding", "content_language", "cache_control", "expires",
)  # fmt: skip

_ENCRYPTION = "x-amz-server-side-encryption"
_ARCHIVE = "x-amz-archive-status"
_UNTOLD = "x-amz-missing-meta"
"""Source: S3 API, HeadObject: how many entries of the metadata no header can tell."""


def object_head(key: str, headers: Mapping[str, str], subject: str) -> ObjectHead:
    """Return what the headers tell of an object.

    Raises:
        OtherError: there is no length: it is not taken for an empty object (C10).
        Unsupported: the service unpacks the object on the way.
        UnexpectedReply: they describe no object, or hold a value that can be none.
    """
    length = headers.get("content-length")
    if length is None:
        if (unpacked := transcoded(headers)) is not None:
            raise error_of(unpacked).about(subject)
        raise OtherError("HEAD told no Content-Length, so the object's size is unknown", subject)
    modified = headers.get("last-modified")
    if not headers.get("etag") and not modified:
        text = "HEAD told neither ETag nor Last-Modified, so there is no object that it describes; check --endpoint-url"
        raise UnexpectedReply(text, subject)
    metadata = {
        name.removeprefix(METADATA_PREFIX): value for name, value in headers.items() if name.startswith(METADATA_PREFIX)
    }
    content = Content(
        **{name: headers.get(name.replace("_", "-"), "") for name in CONTENT_HEADERS},
        website_redirect=headers.get(WEBSITE_REDIRECT, ""),
        metadata=metadata,
    )
    texts = [getattr(content, name) for name in CONTENT_HEADERS]
    told.bounded([*texts, content.website_redirect], metadata, subject)
    encryption = told.text(headers.get(_ENCRYPTION), "encryption", subject, most=told.MAX_NAME_CHARACTERS)
    token = told.text(metadata.pop(TOKEN_KEY, ""), "token", subject, most=told.MAX_NAME_CHARACTERS)
    tags, untold = headers.get("x-amz-tagging-count"), headers.get(_UNTOLD)
    return ObjectHead(
        key=key,
        size=told.number(length, "Content-Length", subject),
        etag=told.etag(headers.get("etag"), subject),
        last_modified=None if modified is None else _instant(modified, subject),
        version_id=told.version(headers.get("x-amz-version-id"), subject),
        checksum=stored_checksum(headers),
        encryption=encryption or ("SSE-C" if f"{_ENCRYPTION}-customer-algorithm" in headers else ""),
        content=content,
        storage_class=storage_class(headers.get("x-amz-storage-class"), subject),
        tags=0 if tags is None else told.number(tags, "x-amz-tagging-count", subject, most=told.MAX_TAGS),
        token=token,
        restore=told_restore(headers.get("x-amz-restore"), subject),
        archive=told.text(headers.get(_ARCHIVE), _ARCHIVE, subject, most=told.MAX_NAME_CHARACTERS),
        untold_metadata=0 if untold is None else told.number(untold, _UNTOLD, subject, most=told.MAX_HEAD_BYTES),
    )


def _instant(said: str, subject: str) -> datetime:
    try:
        return instant(said)
    except ValueError as error:
        raise refused("LastModified", said).about(subject) from error


__all__ = ["object_head"]
