"""Copies within the service: a whole object, or a range of one into a part of an upload."""

from __future__ import annotations

from typing import Any

from bulkhaul.model.writing import CopySource, ObjectOptions, Stored, UploadedPart
from bulkhaul.wire.option_headers import beside_copied, put_headers
from bulkhaul.wire.replies.fields import stored
from bulkhaul.wire.replies.uploads import copied_part
from bulkhaul.wire.sdk.calls import call, object_names
from bulkhaul.wire.sdk.client import SdkClient


def copy_object(
    sdk: SdkClient,
    bucket: str,
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
        NotFound: there is no such source.
        PreconditionFailed: the source has changed.
        ServerError: the reply has no result: the copy may exist or not.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{source.bucket}/{source.key}"
    sdk.require_unrewritten(key)
    # Without a directive the service keeps everything; some stores refuse the directive to do so.
    directives = {} if options is None else {"MetadataDirective": "REPLACE"}
    if options is not None and options.tags:
        directives["TaggingDirective"] = "REPLACE"
    headers = beside_copied(storage_class, website_redirect) if options is None else put_headers(options)
    with sdk.raw.sending(headers):
        reply = call(
            sdk.patient.copy_object,
            subject=subject,
            Bucket=bucket,
            Key=key,
            **directives,
            **_source_parameters(source),
        )
    return stored(reply.get("CopyObjectResult", {}), reply.get("VersionId"), sdk.host, subject)


def copy_part(
    sdk: SdkClient,
    bucket: str,
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
        OtherError: the reply has no ETag.
        PreconditionFailed: the source has changed.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{source.bucket}/{source.key}"
    sdk.require_unrewritten(key)
    reply = call(
        sdk.patient.upload_part_copy,
        subject=subject,
        Bucket=bucket,
        Key=key,
        UploadId=upload_id,
        PartNumber=number,
        CopySourceRange=f"bytes={start}-{end - 1}",  # RFC 9110 §14: inclusive
        **_source_parameters(source),
    )
    return copied_part(reply.get("CopyPartResult", {}), number, end - start, sdk.host, subject)


def _source_parameters(source: CopySource) -> dict[str, Any]:
    """Return the parameters that name what is copied; the SDK encodes the names (C34)."""
    condition = {"CopySourceIfMatch": source.etag} if source.etag else {}
    return {"CopySource": object_names(source.bucket, source.key, source.version_id), **condition}


__all__ = ["copy_object", "copy_part"]
