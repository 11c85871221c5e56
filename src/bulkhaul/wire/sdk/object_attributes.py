"""Tells the parts that an object was uploaded in, their sizes and checksums, by GetObjectAttributes or by HEAD."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bulkhaul.model.errors import TransferError, UnexpectedReply, Unsupported
from bulkhaul.model.objects import ObjectHead, PartChecksum
from bulkhaul.policy.verification import uniform_parts
from bulkhaul.wire import told
from bulkhaul.wire.replies.listing_checks import next_part
from bulkhaul.wire.sdk.calls import call, object_names, reply_headers
from bulkhaul.wire.sdk.client import SdkClient


def part_checksums(sdk: SdkClient, bucket: str, head: ObjectHead, version_id: str = "") -> tuple[PartChecksum, ...]:
    """Return the parts that an object was uploaded in; empty if the endpoint does not tell.

    GetObjectAttributes tells sizes and checksums. Where it is missing, not allowed or nonsense, HEAD of the first part
    tells the size of all parts but the last, if they are of one size. Of an object without a checksum that is asked at
    once, since GetObjectAttributes tells only of parts that have one; its ETag tells their number.
    """
    names = object_names(bucket, head.key, version_id)
    try:
        parts = tuple(_attribute_parts(sdk, head, names)) if head.checksum is not None else ()
    except (Unsupported, UnexpectedReply):
        parts = ()  # no part of such a reply is used
    except TransferError as error:
        if error.retryable or error.info.status == 404:
            raise
        parts = ()  # not allowed, or not understood
    if head.checksum is not None and sum(part.size_bytes for part in parts) == head.size:
        return parts
    subject = f"s3://{bucket}/{head.key}"
    try:
        reply = call(sdk.client.head_object, subject=subject, PartNumber=1, **names)
    except TransferError as error:
        if error.retryable or error.info.status == 404:
            raise
        return ()
    first_bytes = told.number(reply_headers(reply).get("content-length"), "Content-Length", subject)
    if not first_bytes:
        return ()
    counted = head.checksum.value if head.checksum is not None else head.etag.strip('"')
    _, dash, number = counted.rpartition("-")
    # Some stores leave the number of parts out of the value. The sizes are then a guess, which the checksum confirms.
    count = int(number) if dash and number.isdecimal() else -(-head.size // first_bytes)
    return uniform_parts(head.size, first_bytes, count) if count <= told.MAX_PART_NUMBER else ()


def _attribute_parts(sdk: SdkClient, head: ObjectHead, names: Mapping[str, str]) -> Iterator[PartChecksum]:
    assert head.checksum is not None
    member, subject = f"Checksum{head.checksum.algorithm}", f"s3://{names['Bucket']}/{head.key}"
    marker, last = 0, 0
    while True:
        reply = call(
            sdk.client.get_object_attributes,
            subject=subject,
            ObjectAttributes=["ObjectParts"],
            MaxParts=1000,
            PartNumberMarker=marker,
            **names,
        )
        parts = reply.get("ObjectParts", {})
        for part in parts.get("Parts", ()):
            last = _part_number(part, last, subject)
            value = told.text(part.get(member), member, subject, most=told.MAX_NAME_CHARACTERS)
            yield PartChecksum(told.number(part.get("Size"), "Size", subject), value)
        if not parts.get("IsTruncated"):
            return
        marker = next_part(parts, marker, subject)


def _part_number(part: Mapping[str, Any], last: int, subject: str) -> int:
    """Return the number of a part; it must be larger than ``last``."""
    number = told.number(part.get("PartNumber"), "PartNumber", subject, most=told.MAX_PART_NUMBER)
    if number <= last:
        raise UnexpectedReply(f"the reply tells part {number} after part {last}", subject)
    return number


__all__ = ["part_checksums"]
