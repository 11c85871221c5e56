"""Runs one call of the SDK, turns its failures into typed errors, and reads what many replies have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from bulkhaul.model.errors import ErrorInfo, TransferError, UnexpectedReply, UsageError, error_of
from bulkhaul.model.objects import Checksum
from bulkhaul.model.writing import Stored
from bulkhaul.wire import told
from bulkhaul.wire.classify import network_error, service_error
from bulkhaul.wire.reply import stored_checksum, untold
from bulkhaul.wire.sdk.client import SdkClient

T = TypeVar("T")


def call(operation: Callable[..., T], *, subject: str = "", **parameters: object) -> T:
    """Run one call of the SDK; it fails with typed errors only.

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
            raise refused.about(subject) from error  # an error of our own hooks, wrapped by the SDK
        raise error_of(network_error(error, subject)) from error
    except (ResponseParserError, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        # The SDK's parser failed; the text of its error may quote the whole reply.
        raise UnexpectedReply("the reply cannot be read", subject, type(error).__name__) from error


def object_names(bucket: str, key: str, version_id: str = "") -> dict[str, str]:
    """Return the parameters that name an object; an empty ``version_id`` names the current version."""
    return {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})


def reply_headers(reply: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of a reply as they came, names in lower case."""
    return {name.lower(): str(value) for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()}


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


def checksum_in(members: Mapping[str, Any]) -> Checksum | None:
    """Return the checksum in the members of a reply (``ChecksumCRC32``, ``ChecksumType`` …)."""
    prefix = "Checksum"
    headers = {
        f"x-amz-checksum-{name.removeprefix(prefix).lower()}": str(value)
        for name, value in members.items()
        if name.startswith(prefix)
    }
    return stored_checksum({**headers, "etag": str(members.get("ETag", ""))})


def storage_class(members: Mapping[str, Any], subject: str) -> str:
    """Return the storage class, empty for the standard one: listings name it, HEAD does not."""
    name = told.text(members.get("StorageClass"), "StorageClass", subject, most=told.MAX_NAME_CHARACTERS)
    return "" if name == "STANDARD" else name


def instant(value: object) -> str:
    """Return a time of the SDK as ISO 8601, empty if there is none."""
    return value.isoformat() if isinstance(value, datetime) else ""


def stored(sdk: SdkClient, reply: Mapping[str, Any], result: Mapping[str, Any], subject: str) -> Stored:
    """Return what the reply to a write tells of the stored object.

    Args:
        result: the member of the reply that holds ETag and checksums.

    Raises:
        ServerError: it has no ETag. The SDK reports a 200 that holds an error, or only spaces, as a 500, but takes an
            empty or a foreign document for a result.
    """
    etag = told.etag(result.get("ETag"), subject)
    if not etag:
        raise error_of(ErrorInfo("ServerError", untold(sdk.host), subject, status=200))
    return Stored(quoted(etag), told.version(reply.get("VersionId"), subject), checksum_in(result))


def quoted(etag: str) -> str:
    """Return an ETag in its quotes: some stores leave them out in replies to copies."""
    return etag if '"' in etag else f'"{etag}"'


__all__ = [
    "call",
    "checksum_in",
    "client_error",
    "instant",
    "object_names",
    "quoted",
    "reply_headers",
    "storage_class",
    "stored",
]
