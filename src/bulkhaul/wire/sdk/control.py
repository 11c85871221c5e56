"""The control operations, blocking, through a boto3 client: HEAD, LIST, part sizes; it must not know transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from bulkhaul.model.errors import OtherError, TransferError, UnexpectedReply, Unsupported, UsageError, error_of
from bulkhaul.model.objects import ObjectHead, PartChecksum
from bulkhaul.policy.verification import uniform_parts
from bulkhaul.wire.classify import network_error, service_error
from bulkhaul.wire.reply import stored_checksum
from bulkhaul.wire.sdk.client import SdkClient

T = TypeVar("T")


class ListPage(msgspec.Struct, frozen=True):
    """One page of a listing; ``next_token`` is empty on the last one."""

    entries: tuple[ObjectHead, ...]
    next_token: str


def call(operation: Callable[..., T], *, subject: str = "", **parameters: object) -> T:
    """Run one SDK call and let only typed errors out.

    Raises:
        TransferError: what the service or the connection reported.
    """
    try:
        return operation(**parameters)
    except TransferError:
        raise
    except ClientError as error:
        raise client_error(error, subject) from error
    except ParamValidationError as error:
        raise UsageError("the SDK does not accept the request", subject, str(error)) from error
    except RecursionError as error:
        raise error_of(service_error(301, headers={}, subject=subject)) from error
    except BotoCoreError as error:
        raise error_of(network_error(error, subject)) from error


def client_error(error: ClientError, subject: str = "") -> TransferError:
    """Return the typed error for what boto3 raised."""
    response: Mapping[str, Any] = error.response
    metadata: Mapping[str, Any] = response.get("ResponseMetadata", {})
    details: Mapping[str, Any] = response.get("Error", {})
    return error_of(
        service_error(
            int(metadata.get("HTTPStatusCode", 0)),
            service_code=str(details.get("Code", "")),
            detail=str(details.get("Message", "")),
            headers={name.lower(): value for name, value in metadata.get("HTTPHeaders", {}).items()},
            subject=subject,
        )
    )


def head(sdk: SdkClient, bucket: str, key: str) -> ObjectHead:
    """Return what HEAD tells, the stored checksum included.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    try:
        reply = call(sdk.client.head_object, subject=subject, Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    except TransferError as error:
        if error.info.status == 400 and not error.info.service_code:
            # A HEAD has no body to say why; a GET of nothing much does.
            found = call(sdk.client.get_object, subject=subject, Bucket=bucket, Key=key, Range="bytes=0-0")
            found["Body"].close()
        raise
    if "ContentLength" not in reply:
        raise OtherError("HEAD told no Content-Length, so the object's size is unknown", subject)
    headers = {name.lower(): value for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()}
    return ObjectHead(
        key=key,
        size_bytes=max(0, int(reply["ContentLength"])),
        etag=str(reply.get("ETag", "")),
        last_modified=_instant(reply.get("LastModified")),
        version_id=_version(reply.get("VersionId")),
        checksum=stored_checksum(headers),
        encryption=str(reply.get("ServerSideEncryption", "") or ("SSE-C" if "SSECustomerAlgorithm" in reply else "")),
    )


def list_page(sdk: SdkClient, bucket: str, prefix: str, token: str) -> ListPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    more = {"ContinuationToken": token} if token else {}
    subject = f"s3://{bucket}/{prefix}"
    reply = call(sdk.client.list_objects_v2, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    if "IsTruncated" not in reply:
        raise UnexpectedReply("the reply to a listing is no listing", subject)
    entries = tuple(_entry(item, subject) for item in reply.get("Contents", ()))
    next_token = str(reply.get("NextContinuationToken", "")) if reply["IsTruncated"] else ""
    if reply["IsTruncated"] and not next_token:
        raise OtherError("the listing says that it goes on, but not where; nobody knows what is missing", subject)
    return ListPage(entries, next_token)


def part_checksums(sdk: SdkClient, bucket: str, info: ObjectHead) -> tuple[PartChecksum, ...]:
    """Return the parts that an object was uploaded in; empty where the endpoint does not tell.

    GetObjectAttributes tells sizes and checksums. Where it is missing or not allowed, HEAD of the first part tells
    sizes, if all parts but the last are of one size.
    """
    assert info.checksum is not None
    try:
        parts = tuple(_attribute_parts(sdk, bucket, info))
    except Unsupported:
        parts = ()
    except TransferError as error:
        if error.retryable or error.info.status == 404:
            raise
        parts = ()  # not allowed, or not understood: the sizes are had in another way
    if sum(part.size_bytes for part in parts) == info.size_bytes:
        return parts
    subject = f"s3://{bucket}/{info.key}"
    try:
        reply = call(sdk.client.head_object, subject=subject, Bucket=bucket, Key=info.key, PartNumber=1)
    except TransferError as error:
        if error.retryable or error.info.status == 404:
            raise
        return ()
    first_bytes = max(1, int(reply.get("ContentLength", 0)))
    number = info.checksum.value.rpartition("-")[2]
    # Some stores leave the number of parts out of the value; the sizes are a guess then, and the checksum judges it.
    count = int(number) if number.isdigit() else -(-info.size_bytes // first_bytes)
    return uniform_parts(info.size_bytes, first_bytes, count)


def _attribute_parts(sdk: SdkClient, bucket: str, info: ObjectHead) -> Iterator[PartChecksum]:
    assert info.checksum is not None
    member = f"Checksum{info.checksum.algorithm}"
    marker = 0
    while True:
        reply = call(
            sdk.client.get_object_attributes,
            subject=f"s3://{bucket}/{info.key}",
            Bucket=bucket,
            Key=info.key,
            ObjectAttributes=["ObjectParts"],
            MaxParts=1000,
            PartNumberMarker=marker,
        )
        parts = reply.get("ObjectParts", {})
        for part in parts.get("Parts", ()):
            yield PartChecksum(int(part.get("Size", 0)), str(part.get(member, "")))
        following = int(parts.get("NextPartNumberMarker", 0) or 0)
        if not parts.get("IsTruncated") or following <= marker:
            return
        marker = following


def _entry(item: Mapping[str, Any], subject: str) -> ObjectHead:
    if not item.get("Key"):
        raise OtherError("the listing holds an entry without a key", subject)
    return ObjectHead(
        key=str(item["Key"]),
        size_bytes=max(0, int(item.get("Size", 0))),
        etag=str(item.get("ETag", "")),
        last_modified=_instant(item.get("LastModified")),
    )


def _instant(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else ""


def _version(value: object) -> str:
    return "" if value in (None, "null") else str(value)


__all__ = ["ListPage", "call", "client_error", "head", "list_page", "part_checksums"]
