"""Runs one call of the SDK, and turns its failures into typed errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError

from bulkhaul.model.errors import TransferError, UnexpectedReply, UsageError, error_of
from bulkhaul.policy.actions import action_of_operation
from bulkhaul.wire.classify import network_error, service_error

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
        raise client_error(error, subject, version="VersionId" in parameters) from error
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


def client_error(error: ClientError, subject: str = "", *, version: bool = False) -> TransferError:
    """Return the typed error for what boto3 raised; ``version`` if a version was named."""
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
            action=action_of_operation(error.operation_name, version=version),
        )
    )


__all__ = [
    "call",
    "client_error",
    "object_names",
    "reply_headers",
]
