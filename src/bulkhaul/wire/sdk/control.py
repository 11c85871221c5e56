"""The control operations, blocking, through a boto3 client: HEAD, LIST, part sizes; it must not know transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from bulkhaul.model.errors import (
    OtherError,
    RangeNotSatisfiable,
    TransferError,
    UnexpectedReply,
    Unsupported,
    UsageError,
    error_of,
)
from bulkhaul.model.objects import TOKEN_KEY, Checksum, Content, ObjectHead, PartChecksum
from bulkhaul.policy.verification import uniform_parts
from bulkhaul.wire import told
from bulkhaul.wire.classify import network_error, service_error
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.reply import stored_checksum, transcoded
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.listings import QUICKLY_READ, telling

T = TypeVar("T")

CONTENT_HEADERS = (
    "content_type", "content_disposition", "content_encoding", "content_language", "cache_control", "expires",
)  # fmt: skip

MAX_TAGS = 1000
"""S3 has 10 tags an object; other services have 50."""


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
    except TransferError as error:
        raise error.named(subject) from error.__cause__
    except ClientError as error:
        raise client_error(error, subject) from error
    except ParamValidationError as error:
        raise UsageError("the SDK does not accept the request", subject, str(error)) from error
    except UnicodeEncodeError as error:
        raise UsageError("the name is not valid UTF-8", subject, str(error)) from error
    except RecursionError as error:
        raise error_of(service_error(301, headers={}, subject=subject)) from error
    except BotoCoreError as error:
        if isinstance(refused := error.kwargs.get("error"), TransferError):
            raise refused.about(subject) from error  # the connection's own, packed up by the SDK
        raise error_of(network_error(error, subject)) from error
    except (ResponseParserError, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # What the SDK's reader stumbles over; its text may quote the whole reply.
        raise UnexpectedReply("the reply cannot be read", subject, type(error).__name__) from error


def client_error(error: ClientError, subject: str = "") -> TransferError:
    """Return the typed error for what boto3 raised."""
    response: Mapping[str, Any] = error.response
    metadata: Mapping[str, Any] = response.get("ResponseMetadata", {})
    details: Mapping[str, Any] = response.get("Error", {})
    code, detail = details.get("Code"), details.get("Message")  # an error document may hold anything there
    return error_of(
        service_error(
            int(metadata.get("HTTPStatusCode", 0)),
            service_code=code if isinstance(code, str) else "",
            detail=detail if isinstance(detail, str) else "",
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
    reply = _asked_head(sdk, names, subject)
    headers = _headers(reply)
    if sdk.unpacked(headers):
        reply = _asked_head(sdk, names, subject)
        headers = _headers(reply)
    if "ContentLength" not in reply and (unpacked := transcoded(headers)) is not None:
        raise error_of(unpacked).about(subject)
    return _object_head(key, reply, headers, subject)


def _headers(reply: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()}


def _asked_head(sdk: SdkClient, names: Mapping[str, str], subject: str) -> Mapping[str, Any]:
    """Ask, and ask again where a HEAD has no body to say what was wrong with it."""

    def ask() -> Mapping[str, Any]:
        mode = {"ChecksumMode": "ENABLED"} if sdk.takes(CHECKSUM_MODE) else {}
        reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **mode, **names)
        return reply

    try:
        return ask()
    except TransferError as error:
        failure = error
    if sdk.takes(CHECKSUM_MODE) and sdk.may_do_without(failure):
        try:
            reply: Mapping[str, Any] = call(sdk.client.head_object, subject=subject, **names)
        except TransferError as error:
            failure = error
        else:
            sdk.does_without(CHECKSUM_MODE)
            return reply
    if failure.info.status != 400 or failure.info.service_code:
        raise failure
    # A GET of nothing much says why; or it finds the bucket's region, where a HEAD is then answered, too.
    with suppress(RangeNotSatisfiable):  # there is an object, and it is empty
        call(sdk.client.get_object, subject=subject, Range="bytes=0-0", **names)["Body"].close()
    return ask()


def _object_head(key: str, reply: Mapping[str, Any], headers: Mapping[str, str], subject: str) -> ObjectHead:
    if "ContentLength" not in reply:
        raise OtherError("HEAD told no Content-Length, so the object's size is unknown", subject)
    metadata = {name.lower(): value for name, value in reply.get("Metadata", {}).items()}
    content = Content(
        content_type=headers.get("content-type", ""),
        content_disposition=headers.get("content-disposition", ""),
        content_encoding=headers.get("content-encoding", ""),
        content_language=headers.get("content-language", ""),
        cache_control=headers.get("cache-control", ""),
        expires=str(reply.get("ExpiresString", "")),  # the SDK takes the header away if it is no date
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
        version_id=version(reply.get("VersionId"), subject),
        checksum=stored_checksum(headers),
        encryption=encryption or ("SSE-C" if "SSECustomerAlgorithm" in reply else ""),
        content=content,
        storage_class=_storage_class(reply, subject),
        tags=0 if tags is None else told.number(tags, "x-amz-tagging-count", subject, most=MAX_TAGS),
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
    require_bucket(reply.get("Name"), bucket, subject)
    entries: tuple[ObjectHead, ...]
    if (read := reply.get(QUICKLY_READ)) is not None:
        entries, prefixes = read
        for name in (*[one.key for one in entries], *prefixes):
            if len(name) > told.MAX_KEY_CHARACTERS or not name.startswith(prefix):
                told.key(name, prefix, subject)  # says what is wrong
    else:
        entries = tuple(_entry(item, prefix, subject) for item in reply.get("Contents", ()))
        prefixes = tuple(require_key(item, prefix, subject, "Prefix") for item in reply.get("CommonPrefixes", ()))
    if reply.get("KeyCount", 0) > len(entries) + len(prefixes):
        text = f"the page says that it holds {reply['KeyCount']} keys, and holds {len(entries) + len(prefixes)}"
        raise UnexpectedReply(text, subject)
    next_token = reply.get("NextContinuationToken") if truncated else None
    if truncated and not next_token:
        raise goes_on_nowhere(subject)
    return entries, prefixes, told.text(next_token, "NextContinuationToken", subject, most=told.MAX_TOKEN_CHARACTERS)


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
    length = reply["ResponseMetadata"]["HTTPHeaders"].get("content-length")
    first_bytes = told.number(length, "Content-Length", subject)
    if not first_bytes:
        return ()
    number = info.checksum.value.rpartition("-")[2]
    # Some stores leave the number of parts out of the value; the sizes are a guess then, and the checksum judges it.
    count = int(number) if "-" in info.checksum.value else -(-info.size_bytes // first_bytes)
    return uniform_parts(info.size_bytes, first_bytes, count) if count <= told.MAX_PART_NUMBER else ()


def _attribute_parts(sdk: SdkClient, info: ObjectHead, names: Mapping[str, str]) -> Iterator[PartChecksum]:
    assert info.checksum is not None
    member, subject = f"Checksum{info.checksum.algorithm}", f"s3://{names['Bucket']}/{info.key}"
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
        following = told.number(
            parts.get("NextPartNumberMarker"), "NextPartNumberMarker", subject, most=told.MAX_PART_NUMBER
        )
        if following <= marker:
            raise goes_on_nowhere(subject)
        marker = following


def _part_number(part: Mapping[str, Any], last: int, subject: str) -> int:
    """Return the number of a part, which must come after the ``last`` one."""
    number = told.number(part.get("PartNumber"), "PartNumber", subject, most=told.MAX_PART_NUMBER)
    if number <= last:
        raise UnexpectedReply(f"the reply tells part {number} after part {last}", subject)
    return number


def require_listing(reply: Mapping[str, Any], subject: str) -> bool:
    """Return whether a listing goes on after this reply.

    Raises:
        UnexpectedReply: the reply is no listing; it would pass for an empty one.
    """
    if "IsTruncated" not in reply:
        raise UnexpectedReply("the reply to a listing is no listing", subject)
    return bool(reply["IsTruncated"])


def require_markers(key: str, number: str, subject: str) -> None:
    """Raise UnexpectedReply for markers of the next page (a key, and an id) that are longer than any is."""
    if len(key) > told.MAX_TOKEN_CHARACTERS or len(number) > told.MAX_TOKEN_CHARACTERS:
        raise UnexpectedReply("the listing goes on at a marker that is longer than any key or id", subject)


def require_bucket(named: object, bucket: str, subject: str) -> None:
    """Raise UnexpectedReply for a listing that names another bucket; an alias is answered with what it stands for."""
    alias = bucket.startswith("arn:") or bucket.endswith(("-s3alias", ".mrap", "--x-s3"))
    if named and named != bucket and not alias:
        cause = f"it names {str(named)[:80]!r}"
        raise UnexpectedReply("the endpoint answered with the listing of another bucket", subject, cause)


def goes_on_nowhere(subject: str) -> OtherError:
    """Return the error for a listing that is truncated and has no marker."""
    return OtherError("the listing says that it goes on, but not where; nobody knows what is missing", subject)


def checksum_in(members: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum among the members of an SDK reply (``ChecksumCRC32``, ``ChecksumType`` …)."""
    prefix = "Checksum"
    headers = {
        f"x-amz-checksum-{name.removeprefix(prefix).lower()}": str(value)
        for name, value in members.items()
        if name.startswith(prefix)
    }
    return stored_checksum({**headers, "etag": str(members.get("ETag", ""))})


def require_key(item: Mapping[str, Any], prefix: str, subject: str, member: str = "Key") -> str:
    """Return the key of an entry of a listing of ``prefix``.

    Raises:
        OtherError: it has none.
        UnexpectedReply: it is no key, or none that was asked for.
    """
    found = told.key(item.get(member), prefix, subject)
    if "\ufffd" in found:
        # What the SDK makes of anything that is not UTF-8: no key of the bucket any more.
        raise UnexpectedReply("the listing holds a key that is not valid UTF-8", subject, repr(found[:80]))
    return found


def _entry(item: Mapping[str, Any], prefix: str, subject: str) -> ObjectHead:
    return ObjectHead(
        key=require_key(item, prefix, subject),
        size_bytes=told.number(item.get("Size"), "Size", subject),
        etag=told.etag(item.get("ETag"), subject),
        last_modified=instant(item.get("LastModified")),
        storage_class=_storage_class(item, subject),
    )


def _storage_class(members: Mapping[str, Any], subject: str) -> str:
    """Return the class; listings name the standard one, HEAD does not."""
    name = told.text(members.get("StorageClass"), "StorageClass", subject, most=told.MAX_NAME_CHARACTERS)
    return "" if name == "STANDARD" else name


def instant(value: object) -> str:
    """Return a time of the SDK as text, empty where there is none."""
    return value.isoformat() if isinstance(value, datetime) else ""


def version(value: object, subject: str = "") -> str:
    """Return a version id, empty where there are no versions."""
    found = told.text(value, "version id", subject, most=told.MAX_ID_CHARACTERS)
    return "" if found == "null" else found


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
    "require_bucket",
    "require_key",
    "require_listing",
    "require_markers",
    "version",
]
