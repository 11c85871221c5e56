"""The control operations, blocking, through a boto3 client: HEAD, LIST, part sizes; it must not know transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from bulkhaul.model.errors import OtherError, TransferError, UnexpectedReply, Unsupported, UsageError, error_of
from bulkhaul.model.objects import TOKEN_KEY, Checksum, Content, ObjectHead, PartChecksum
from bulkhaul.policy.verification import uniform_parts
from bulkhaul.wire.classify import network_error, service_error
from bulkhaul.wire.reply import stored_checksum
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.listings import QUICKLY_READ, telling

T = TypeVar("T")


class ListPage(msgspec.Struct, frozen=True):
    """One page of a listing; ``next_token`` is empty on the last one."""

    entries: tuple[ObjectHead, ...]
    next_token: str


class FolderPage(msgspec.Struct, frozen=True):
    """One page of a folder: the objects in it, and the prefixes (ending in ``/``) of the folders in it."""

    entries: tuple[ObjectHead, ...]
    prefixes: tuple[str, ...]
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
    except UnicodeError as error:
        raise UsageError("the name is not valid UTF-8", subject, str(error)) from error
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


def head(sdk: SdkClient, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """Return what HEAD tells, the stored checksum included; an empty ``version_id`` asks for the current version.

    Raises:
        OtherError: the reply has no length: it is not taken for an empty object (C10).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    names = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    try:
        reply = call(sdk.client.head_object, subject=subject, ChecksumMode="ENABLED", **names)
    except TransferError as error:
        if error.info.status == 400 and not error.info.service_code:
            # A HEAD has no body to say why; a GET of nothing much does.
            found = call(sdk.client.get_object, subject=subject, Range="bytes=0-0", **names)
            found["Body"].close()
        raise
    if "ContentLength" not in reply:
        raise OtherError("HEAD told no Content-Length, so the object's size is unknown", subject)
    headers = {name.lower(): value for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()}
    metadata = {name.lower(): value for name, value in reply.get("Metadata", {}).items()}
    token = metadata.pop(TOKEN_KEY, "")
    tags = str(headers.get("x-amz-tagging-count", ""))
    return ObjectHead(
        key=key,
        size_bytes=max(0, int(reply["ContentLength"])),
        etag=str(reply.get("ETag", "")),
        last_modified=instant(reply.get("LastModified")),
        version_id=version(reply.get("VersionId")),
        checksum=stored_checksum(headers),
        encryption=str(reply.get("ServerSideEncryption", "") or ("SSE-C" if "SSECustomerAlgorithm" in reply else "")),
        content=Content(
            content_type=headers.get("content-type", ""),
            content_disposition=headers.get("content-disposition", ""),
            content_encoding=headers.get("content-encoding", ""),
            content_language=headers.get("content-language", ""),
            cache_control=headers.get("cache-control", ""),
            expires=str(reply.get("ExpiresString", "")),  # the SDK takes the header away if it is no date
            metadata=metadata,
        ),
        storage_class=_storage_class(reply),
        tags=int(tags) if tags.isdecimal() else 0,
        token=token,
    )


def list_page(
    sdk: SdkClient,
    bucket: str,
    prefix: str,
    token: str,
    max_keys: int | None = None,
    on_token: Callable[[str], None] | None = None,
) -> ListPage:
    """Return one page of at most 1,000 objects whose key begins with ``prefix``; an empty token asks for the first.

    Args:
        max_keys: fewer objects a page.
        on_token: called with the next token as soon as it is known, where that is before the page has been read.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    parameters = {} if max_keys is None else {"MaxKeys": max_keys}
    with telling(on_token):
        entries, _, next_token = _listing(sdk, bucket, prefix, token, parameters)
    return ListPage(entries, next_token)


def list_folder(sdk: SdkClient, bucket: str, prefix: str, token: str) -> FolderPage:
    """Return one page of what lies in a folder: ``prefix`` is empty or ends in ``/``.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    return FolderPage(*_listing(sdk, bucket, prefix, token, {"Delimiter": "/"}))


def _listing(
    sdk: SdkClient, bucket: str, prefix: str, token: str, parameters: Mapping[str, object]
) -> tuple[tuple[ObjectHead, ...], tuple[str, ...], str]:
    """Return (objects, common prefixes, next token) of one page."""
    more = {**parameters, "ContinuationToken": token} if token else parameters
    subject = f"s3://{bucket}/{prefix}"
    reply = call(sdk.client.list_objects_v2, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    truncated = require_listing(reply, subject)
    entries = tuple(_entry(item, subject) for item in reply.get("Contents", ()))
    prefixes = tuple(str(item.get("Prefix", "")) for item in reply.get("CommonPrefixes", ()))
    if (read := reply.get(QUICKLY_READ)) is not None:
        entries, prefixes = read
    next_token = str(reply.get("NextContinuationToken", "")) if truncated else ""
    if truncated and not next_token:
        raise goes_on_nowhere(subject)
    return entries, prefixes, next_token


def part_checksums(sdk: SdkClient, bucket: str, info: ObjectHead, version_id: str = "") -> tuple[PartChecksum, ...]:
    """Return the parts that an object was uploaded in; empty where the endpoint does not tell.

    GetObjectAttributes tells sizes and checksums. Where it is missing or not allowed, HEAD of the first part tells
    sizes, if all parts but the last are of one size.
    """
    assert info.checksum is not None
    names = {"Bucket": bucket, "Key": info.key} | ({"VersionId": version_id} if version_id else {})
    try:
        parts = tuple(_attribute_parts(sdk, info, names))
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
        reply = call(sdk.client.head_object, subject=subject, PartNumber=1, **names)
    except TransferError as error:
        if error.retryable or error.info.status == 404:
            raise
        return ()
    first_bytes = max(1, int(reply.get("ContentLength", 0)))
    number = info.checksum.value.rpartition("-")[2]
    # Some stores leave the number of parts out of the value; the sizes are a guess then, and the checksum judges it.
    count = int(number) if number.isdigit() else -(-info.size_bytes // first_bytes)
    return uniform_parts(info.size_bytes, first_bytes, count)


def _attribute_parts(sdk: SdkClient, info: ObjectHead, names: Mapping[str, str]) -> Iterator[PartChecksum]:
    assert info.checksum is not None
    member = f"Checksum{info.checksum.algorithm}"
    marker = 0
    while True:
        reply = call(
            sdk.client.get_object_attributes,
            subject=f"s3://{names['Bucket']}/{info.key}",
            ObjectAttributes=["ObjectParts"],
            MaxParts=1000,
            PartNumberMarker=marker,
            **names,
        )
        parts = reply.get("ObjectParts", {})
        for part in parts.get("Parts", ()):
            yield PartChecksum(int(part.get("Size", 0)), str(part.get(member, "")))
        following = int(parts.get("NextPartNumberMarker", 0) or 0)
        if not parts.get("IsTruncated") or following <= marker:
            return
        marker = following


def require_listing(reply: Mapping[str, Any], subject: str) -> bool:
    """Return whether a listing goes on after this reply.

    Raises:
        UnexpectedReply: the reply is no listing; it would pass for an empty one.
    """
    if "IsTruncated" not in reply:
        raise UnexpectedReply("the reply to a listing is no listing", subject)
    return bool(reply["IsTruncated"])


def goes_on_nowhere(subject: str) -> OtherError:
    """Return the error for a listing that is truncated and has no marker."""
    return OtherError("the listing says that it goes on, but not where; nobody knows what is missing", subject)


def checksum_in(members: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum among the members of an SDK reply (``ChecksumCRC32``, ``ChecksumType`` …)."""
    prefix = "Checksum"
    return stored_checksum(
        {
            f"x-amz-checksum-{name.removeprefix(prefix).lower()}": str(value)
            for name, value in members.items()
            if name.startswith(prefix)
        }
    )


def require_key(item: Mapping[str, Any], subject: str) -> str:
    """Return the key of an entry of a listing.

    Raises:
        OtherError: it has none.
    """
    if not item.get("Key"):
        raise OtherError("the listing holds an entry without a key", subject)
    return str(item["Key"])


def _entry(item: Mapping[str, Any], subject: str) -> ObjectHead:
    return ObjectHead(
        key=require_key(item, subject),
        size_bytes=max(0, int(item.get("Size", 0))),
        etag=str(item.get("ETag", "")),
        last_modified=instant(item.get("LastModified")),
        storage_class=_storage_class(item),
    )


def _storage_class(members: Mapping[str, Any]) -> str:
    """Return the class; listings name the standard one, HEAD does not."""
    name = str(members.get("StorageClass", ""))
    return "" if name == "STANDARD" else name


def instant(value: object) -> str:
    """Return a time of the SDK as text, empty where there is none."""
    return value.isoformat() if isinstance(value, datetime) else ""


def version(value: object) -> str:
    """Return a version id, empty where there are no versions."""
    return "" if value in (None, "null") else str(value)


__all__ = [
    "FolderPage",
    "ListPage",
    "call",
    "checksum_in",
    "client_error",
    "goes_on_nowhere",
    "head",
    "instant",
    "list_folder",
    "list_page",
    "part_checksums",
    "require_key",
    "require_listing",
    "version",
]
