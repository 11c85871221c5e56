"""HEAD of an object: sends it, and parses the reply into an ``ObjectHead``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bulkhaul.model.errors import OtherError, RangeNotSatisfiable, TransferError, UnexpectedReply, error_of
from bulkhaul.model.objects import TOKEN_KEY, Content, ObjectHead
from bulkhaul.wire import told
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.reply import stored_checksum, transcoded
from bulkhaul.wire.sdk.calls import call, instant, object_names, reply_headers, storage_class
from bulkhaul.wire.sdk.client import SdkClient

CONTENT_HEADERS = (
    "content_type", "content_disposition", "content_encoding", "content_language", "cache_control", "expires",
)  # fmt: skip


def head_object(sdk: SdkClient, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells of an object, its checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    names = object_names(bucket, key, version_id)
    reply = _asked_head(sdk, names, subject)
    headers = reply_headers(reply)
    if sdk.unpacked(headers):
        reply = _asked_head(sdk, names, subject)
        headers = reply_headers(reply)
    if "ContentLength" not in reply and (unpacked := transcoded(headers)) is not None:
        raise error_of(unpacked).about(subject)
    return _object_head(key, reply, headers, subject)


def _asked_head(sdk: SdkClient, names: Mapping[str, str], subject: str) -> Mapping[str, Any]:
    """Send HEAD, and again where a refusal has no body to say why, or may be about the checksum that it asks for."""

    def ask() -> Mapping[str, Any]:
        mode = {"ChecksumMode": "ENABLED"} if sdk.takes(CHECKSUM_MODE) else {}
        reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **mode, **names)
        return reply

    try:
        return ask()
    except TransferError as error:
        failure = error
    if failure.info.status == 400 and not failure.info.service_code:
        # A GET of one byte is refused with a reason; or it finds the bucket's region, where HEAD then works, too.
        with suppress(RangeNotSatisfiable):  # the object exists, and is empty
            call(sdk.client.get_object, subject=subject, Range="bytes=0-0", **names)["Body"].close()
        try:
            return ask()
        except TransferError as error:
            failure = error
    if not (sdk.takes(CHECKSUM_MODE) and sdk.may_do_without(failure)):
        raise failure
    reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **names)
    sdk.does_without(CHECKSUM_MODE)
    return reply


def _object_head(key: str, reply: Mapping[str, Any], headers: Mapping[str, str], subject: str) -> ObjectHead:
    if "ContentLength" not in reply:
        raise OtherError("HEAD told no Content-Length, so the object's size is unknown", subject)
    if not reply.get("ETag") and not reply.get("LastModified"):
        text = "HEAD told neither ETag nor Last-Modified, so there is no object that it describes; check --endpoint-url"
        raise UnexpectedReply(text, subject)
    metadata = {name.lower(): value for name, value in reply.get("Metadata", {}).items()}
    content = Content(
        content_type=headers.get("content-type", ""),
        content_disposition=headers.get("content-disposition", ""),
        content_encoding=headers.get("content-encoding", ""),
        content_language=headers.get("content-language", ""),
        cache_control=headers.get("cache-control", ""),
        expires=str(reply.get("ExpiresString", "")),  # the SDK removes the header if it is no date
        metadata=metadata,
    )
    told.bounded((getattr(content, name) for name in CONTENT_HEADERS), metadata, subject)
    encryption = told.text(reply.get("ServerSideEncryption"), "encryption", subject, most=told.MAX_NAME_CHARACTERS)
    token = told.text(metadata.pop(TOKEN_KEY, ""), "token", subject, most=told.MAX_NAME_CHARACTERS)
    tags = headers.get("x-amz-tagging-count")
    return ObjectHead(
        key=key,
        size_bytes=told.number(headers.get("content-length"), "Content-Length", subject),
        etag=told.etag(reply.get("ETag"), subject),
        last_modified=instant(reply.get("LastModified")),
        version_id=told.version(reply.get("VersionId"), subject),
        checksum=stored_checksum(headers),
        encryption=encryption or ("SSE-C" if "SSECustomerAlgorithm" in reply else ""),
        content=content,
        storage_class=storage_class(reply, subject),
        tags=0 if tags is None else told.number(tags, "x-amz-tagging-count", subject, most=told.MAX_TAGS),
        token=token,
    )


__all__ = ["head_object"]
