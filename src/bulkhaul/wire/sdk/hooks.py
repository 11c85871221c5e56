"""Tunes a boto3 client through its events: what it sends along, and which replies it refuses.

provide-client-params   requester pays, the customer's key
before-sign             a presigned URL without headers; an MD5 for stores that insist on one
before-parse            a document that is none of S3, or cut off, is refused, and a batch of deletes without a result
after-call              names of listings that the SDK would decode to other names are refused
needs-retry             redirects are refused, but for one change of region, on AWS
"""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.handlers import _handle_200_error

from bulkhaul.model.errors import EndpointRedirect
from bulkhaul.model.settings import Settings
from bulkhaul.wire.documents import Shape, Unreadable, read
from bulkhaul.wire.keepalive import KEEPALIVE_OPTIONS
from bulkhaul.wire.replies.batch_result import require_result
from bulkhaul.wire.replies.success import foreign, is_foreign, unreadable
from bulkhaul.wire.sdk.connections import pass_over_interim_replies
from bulkhaul.wire.sdk.strict_xml import read_strictly, require_decodable
from bulkhaul.wire.values import customer_key


def tune(client: Any, settings: Settings, *, custom: bool) -> None:
    """Tune a new client.

    Args:
        custom: the endpoint is not one of AWS.
    """
    _tune_sockets(client)
    pass_over_interim_replies(client)
    read_strictly(client)
    events = client.meta.events
    if settings.request_payer or settings.sse_c_key is not None:
        _add_parameters(client, settings)
    for operation in ("GetObject", "HeadObject", "PutObject", "DeleteObject"):
        events.register_last(f"before-sign.s3.{operation}", _leave_all_to_the_url)
    if custom:
        for operation in ("DeleteObjects", "PutObjectTagging"):
            events.register(f"before-sign.s3.{operation}", _protect_by_md5)
    # The SDK makes a failure of the service of whatever it cannot parse; a test watches that the private name works.
    events.unregister("before-parse.s3.*", _handle_200_error)
    events.register_first("before-parse.s3.*", _judge_success)
    events.register("before-parse.s3.DeleteObjects", _require_delete_result)
    for operation in ("ListObjects", "ListObjectsV2", "ListObjectVersions"):
        events.register_first(f"after-call.s3.{operation}", require_decodable)
    _refuse_redirects(client, custom=custom)


def _tune_sockets(client: Any) -> None:
    """Give the SDK's connections real keepalive timers.

    botocore has no setting for them, but its session shares this list with the pools that it makes. A test watches
    that the private name works.
    """
    options: list[tuple[int, int, int]] = client._endpoint.http_session._socket_options
    for level, name, value in KEEPALIVE_OPTIONS:
        if (option := getattr(socket, name, None)) is not None and (level, option, value) not in options:
            options.append((level, option, value))


def _add_parameters(client: Any, settings: Settings) -> None:
    """Add to every operation the parameters that the settings ask for, if it takes them.

    The customer's key is passed encoded, with its MD5: the SDK would do that for some operations only.
    """
    extra: dict[str, str] = {}
    if settings.request_payer:
        extra["RequestPayer"] = "requester"
    if settings.sse_c_key is not None:
        algorithm, key, md5 = customer_key(settings.sse_c_key)
        for prefix in ("SSECustomer", "CopySourceSSECustomer"):
            extra |= {f"{prefix}Algorithm": algorithm, f"{prefix}Key": key, f"{prefix}KeyMD5": md5}

    def add(params: Mapping[str, Any], model: Any, **_: object) -> dict[str, Any]:
        taken = model.input_shape.members if model.input_shape else {}
        return {**{name: value for name, value in extra.items() if name in taken}, **params}

    client.meta.events.register("provide-client-params.s3", add)


def _leave_all_to_the_url(request: Any, signature_version: object, **_: object) -> None:
    """Move or drop the headers of a presigned URL: whoever fetches it sends none, so none may be signed."""
    if not str(signature_version).endswith("-query"):
        return
    payer = request.headers.get("x-amz-request-payer")
    for name in [name for name in request.headers if name.lower().startswith("x-amz-")]:
        del request.headers[name]
    if payer is not None:
        request.params["x-amz-request-payer"] = payer


def _protect_by_md5(request: Any, **_: object) -> None:
    """Send an MD5, which the S3 API once required, instead of the SDK's CRC, which older stores refuse."""
    for name in [name for name in request.headers if name.lower().startswith(("x-amz-checksum-", "x-amz-sdk-"))]:
        del request.headers[name]
    digest = hashlib.md5(request.body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(digest).decode()


def _judge_success(response_dict: dict[str, Any], **_: object) -> None:
    """Refuse a success whose document is none of S3 or cut off, and report one with an error as the SDK does."""
    body, status = response_dict["body"], response_dict["status_code"]
    if not (200 <= status < 300 and isinstance(body, bytes) and body):
        return
    try:
        root = read(body, Shape({})).root
    except Unreadable as error:
        raise unreadable(body, "", status) from error
    if is_foreign(body):
        raise foreign("")
    if root == "Error":
        response_dict["status_code"] = 500


def _require_delete_result(response_dict: Mapping[str, Any], **_: object) -> None:
    """Refuse a 200 without a result: if it has no error in it, the SDK would report that everything was deleted."""
    if response_dict["status_code"] == 200:
        require_result(response_dict["body"])


def _refuse_redirects(client: Any, *, custom: bool) -> None:
    """Let the SDK follow one change of region on AWS, and no other redirect: it would loop (boto/botocore#3644)."""

    def refuse(response: tuple[Any, Mapping[str, Any]] | None, request_dict: Mapping[str, Any], **_: object) -> None:
        if response is None or response[0] is None or response[0].status_code not in (301, 302, 307, 308):
            return
        redirected = request_dict.get("context", {}).get("s3_redirect", {}).get("redirected")
        if custom or redirected:
            where = response[0].headers.get("Location", "")
            text = "the endpoint redirects requests elsewhere; set --region or --endpoint-url to where the bucket lives"
            cause = f"HTTP {response[0].status_code} to {urlsplit(where).netloc or 'nowhere'}"
            raise EndpointRedirect(text, cause=cause)

    client.meta.events.register_first("needs-retry.s3", refuse)


__all__ = ["tune"]
