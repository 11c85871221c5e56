"""Copies within the service by the lane: a whole object, or a range of one into a part of an upload."""

from __future__ import annotations

from urllib.parse import quote

from bulkhaul.model.writing import CopySource, ObjectOptions, Stored, UploadedPart
from bulkhaul.wire.documents import Shape, texts
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.lane.multipart_upload import CHECKSUMS
from bulkhaul.wire.option_headers import beside_copied, put_headers
from bulkhaul.wire.replies.fields import stored
from bulkhaul.wire.replies.uploads import copied_part
from bulkhaul.wire.values import Target

_RESULT = Shape(texts(("ETag", *CHECKSUMS)))
"""Source: S3 API Reference, CopyObjectResult and CopyPartResult."""

_CUSTOMER = "x-amz-server-side-encryption-customer-"


async def copy_object(
    lane: Lane,
    target: Target,
    key: str,
    source: CopySource,
    *,
    options: ObjectOptions | None,
    storage_class: str = "",
    website_redirect: str = "",
) -> Stored:
    """Copy an object of at most 5 GiB within the service; errors name the source (C35).

    Args:
        options: how the copy is to be stored; None to keep headers, metadata and tags. If it has no tags, the
            source's are kept.
        storage_class, website_redirect: of a copy with ``options`` None; empty for the service's default, and for none.
            They are never copied along. Source: S3 API Reference, CopyObject.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        NotFound: there is no such source.
        PreconditionFailed: the source has changed.
        ServerError: the reply has no result: the copy may exist or not.
        TransferError: the service or the connection failed.
    """
    headers = _headers(lane, source)
    # Without a directive the service keeps everything; some stores refuse the directive to do so.
    if options is not None:
        headers += [("x-amz-metadata-directive", "REPLACE"), *put_headers(options)]
        if options.tags:
            headers.append(("x-amz-tagging-directive", "REPLACE"))
    else:
        headers += beside_copied(storage_class, website_redirect)
    subject = f"s3://{source.bucket}/{source.key}"
    reply = await lane.ask(target, "PUT", key, (), headers, subject=subject, patient=True)
    version_id = reply.headers.get("x-amz-version-id")
    return stored(reply.members(_RESULT), version_id, target.host_header, subject)


async def copy_part(
    lane: Lane,
    target: Target,
    key: str,
    upload_id: str,
    number: int,
    source: CopySource,
    *,
    start: int,
    end: int,
) -> UploadedPart:
    """Copy bytes ``[start, end)`` of an object into an upload; errors name the source (C35).

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: the reply has no ETag.
        PreconditionFailed: the source has changed.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{source.bucket}/{source.key}"
    # RFC 9110 §14: inclusive
    headers = [*_headers(lane, source), ("x-amz-copy-source-range", f"bytes={start}-{end - 1}")]
    query = [("partNumber", str(number)), ("uploadId", upload_id)]
    reply = await lane.ask(target, "PUT", key, query, headers, subject=subject, patient=True)
    return copied_part(reply.members(_RESULT), number, end - start, target.host_header, subject)


def _headers(lane: Lane, source: CopySource) -> list[tuple[str, str]]:
    """Return the headers that name what is copied (C34), and the customer's key for both objects (SSE-C)."""
    named = quote(f"{source.bucket}/{source.key}", safe="/-_.~")
    if source.version_id:
        named += f"?versionId={quote(source.version_id, safe='-_.~')}"
    headers = [*lane.about_object, ("x-amz-copy-source", named)]
    for name, value in lane.about_object:
        if name.startswith(_CUSTOMER):
            headers.append((f"x-amz-copy-source-server-side-encryption-customer-{name.removeprefix(_CUSTOMER)}", value))
    if source.etag:
        headers.append(("x-amz-copy-source-if-match", source.etag))
    return headers


__all__ = ["copy_object", "copy_part"]
