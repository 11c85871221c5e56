"""What every question to the service goes through, and HEAD, blocking, by a boto3 client; it knows no transfers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from bulkhaul.model.errors import (
    OtherError,
    RangeNotSatisfiable,
    TransferError,
    UnexpectedReply,
    UsageError,
    error_of,
)
from bulkhaul.model.objects import TOKEN_KEY, Checksum, Content, ObjectHead
from bulkhaul.wire import told
from bulkhaul.wire.classify import network_error, service_error
from bulkhaul.wire.learned import CHECKSUM_MODE
from bulkhaul.wire.reply import stored_checksum, transcoded
from bulkhaul.wire.sdk.client import SdkClient

T = TypeVar("T")

CONTENT_HEADERS = (
    "content_type", "content_disposition", "content_encoding", "content_language", "cache_control", "expires",
)  # fmt: skip

MAX_TAGS = 1000
"""S3 has 10 tags an object; other services have 50."""


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
    if failure.info.status == 400 and not failure.info.service_code:
        # A GET of nothing much says why; or it finds the bucket's region, where a HEAD is then answered, too.
        with suppress(RangeNotSatisfiable):  # there is an object, and it is empty
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
        storage_class=storage_class(reply, subject),
        tags=0 if tags is None else told.number(tags, "x-amz-tagging-count", subject, most=MAX_TAGS),
        token=token,
    )


def checksum_in(members: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum among the members of an SDK reply (``ChecksumCRC32``, ``ChecksumType`` …)."""
    prefix = "Checksum"
    headers = {
        f"x-amz-checksum-{name.removeprefix(prefix).lower()}": str(value)
        for name, value in members.items()
        if name.startswith(prefix)
    }
    return stored_checksum({**headers, "etag": str(members.get("ETag", ""))})


def storage_class(members: Mapping[str, Any], subject: str) -> str:
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
    "MAX_TAGS",
    "call",
    "checksum_in",
    "client_error",
    "head",
    "instant",
    "storage_class",
    "version",
]
