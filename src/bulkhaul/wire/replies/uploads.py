"""Reads the replies about multipart uploads: what was begun, its parts, and the uploads that are pending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bulkhaul.model.errors import OtherError, UnexpectedReply
from bulkhaul.model.writing import PartsPage, PendingUpload, UploadBegun, UploadedPart, UploadsPage
from bulkhaul.policy.sameness import quoted
from bulkhaul.wire import told
from bulkhaul.wire.replies.fields import checksum_in, instant
from bulkhaul.wire.replies.listing_checks import next_markers, next_part, require_bucket, require_listing
from bulkhaul.wire.reply import not_of_s3


def upload_begun(reply: Mapping[str, Any], bucket: str, subject: str) -> UploadBegun:
    """Return what the service says of an upload that it has created.

    Args:
        reply: with the members ``ChecksumAlgorithm`` and ``ChecksumType`` of its headers.

    Raises:
        OtherError: it has no id.
        UnexpectedReply: it is of another bucket, or holds a value that can be none.
    """
    if not reply.get("UploadId"):
        raise OtherError(not_of_s3("what came names no upload, which may have begun all the same"), subject)
    require_bucket(reply.get("Bucket"), bucket, subject)
    upload_id = told.text(reply["UploadId"], "UploadId", subject, most=told.MAX_ID_CHARACTERS)
    kept = told.text(reply.get("ChecksumAlgorithm"), "algorithm", subject, most=told.MAX_NAME_CHARACTERS)
    # A service that tells no type computes CRC32 per part (composite); CRC64NVME is always of the full object.
    kind = reply.get("ChecksumType", "FULL_OBJECT" if kept == "CRC64NVME" else "COMPOSITE")
    return UploadBegun(upload_id, kept if kind == "FULL_OBJECT" else "")


def parts_page(reply: Mapping[str, Any], bucket: str, upload_id: str, marker: int, subject: str) -> PartsPage:
    """Return a page of the parts of an upload, those after part ``marker``.

    Raises:
        UnexpectedReply: it is no page of the parts of this upload.
    """
    truncated = require_listing(reply, subject)
    require_bucket(reply.get("Bucket"), bucket, subject)
    if reply.get("UploadId", upload_id) != upload_id:
        raise UnexpectedReply("the endpoint answered with the parts of another upload", subject)
    parts = tuple(_part(item, subject) for item in reply.get("Parts", ()))
    if len({part.number for part in parts}) < len(parts):
        raise UnexpectedReply("the reply tells a part twice", subject)
    if not truncated:
        return PartsPage(parts)
    return PartsPage(parts, next_part(reply, marker, subject))


def uploads_page(
    reply: Mapping[str, Any],
    bucket: str,
    prefix: str,
    asked: tuple[str, str],
    subject: str,
    decode: Callable[[str], str],
) -> UploadsPage:
    """Return a page of pending uploads.

    Args:
        asked: the markers of this page, of key and id.
        decode: how keys are to be read.

    Raises:
        OtherError: an entry without a key or an id.
        UnexpectedReply: it is no page of this listing.
    """
    truncated = require_listing(reply, subject)
    require_bucket(reply.get("Bucket"), bucket, subject)
    following = ("", "")
    if truncated:
        following = next_markers(reply, "NextUploadIdMarker", asked, subject, decode)
    uploads = []
    for item in reply.get("Uploads", ()):
        key = told.key(decode(item.get("Key") or ""), prefix, subject)
        if not item.get("UploadId"):
            raise OtherError("the listing holds an upload without an id", subject)
        upload_id = told.text(item["UploadId"], "UploadId", subject, most=told.MAX_ID_CHARACTERS)
        uploads.append(PendingUpload(key, upload_id, instant(item.get("Initiated"))))
    return UploadsPage(tuple(uploads), *following)


def needs_encoding(page: UploadsPage) -> bool:
    """Return whether a page holds keys that XML cannot carry: it is to be asked for again, encoded."""
    return any("\ufffd" in text for text in (page.next_key_marker, *(one.key for one in page.uploads)))


def copied_part(result: Mapping[str, Any], number: int, length: int, where: str, subject: str) -> UploadedPart:
    """Return what the service says of a part that it has copied.

    Raises:
        OtherError: it has no ETag.
    """
    etag = told.etag(result.get("ETag"), subject)
    if not etag:
        text = f"the service copied part {number}, but did not say its ETag; check --endpoint-url ({where})"
        raise OtherError(text, subject)
    checksum = checksum_in(result)
    return UploadedPart(number, length, quoted(etag), checksum.value if checksum else "")


def _part(item: Mapping[str, Any], subject: str) -> UploadedPart:
    number = told.number(item.get("PartNumber"), "PartNumber", subject, most=told.MAX_PART_NUMBER)
    checksum = checksum_in(item)
    return UploadedPart(
        number,
        told.number(item.get("Size"), "Size", subject),
        told.etag(item.get("ETag"), subject),
        checksum.value if checksum else "",
    )


__all__ = ["copied_part", "needs_encoding", "parts_page", "upload_begun", "uploads_page"]
