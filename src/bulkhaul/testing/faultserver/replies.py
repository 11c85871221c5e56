"""Writes replies as S3 does: error documents, XML."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bulkhaul.testing.faultserver.contents import BytesContent
from bulkhaul.testing.faultserver.http1 import Reply

#: Source: S3 API Reference, Error Responses.
ERROR_STATUS: Mapping[str, int] = {
    "AccessDenied": 403,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BadRequest": 400,
    "ConditionalRequestConflict": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "GlacierExpeditedRetrievalNotAvailable": 503,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidDigest": 400,
    "InvalidPart": 400,
    "InvalidPartNumber": 416,
    "InvalidPartOrder": 400,
    "InvalidObjectState": 403,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "InvalidStorageClass": 400,
    "InvalidTag": 400,
    "InvalidToken": 400,
    "KeyTooLongError": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "OperationAborted": 409,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "RestoreAlreadyInProgress": 409,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}
_XML_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'


class S3Error(Exception):
    """An operation's refusal; becomes an error document."""

    def __init__(self, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code, message, headers)
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def escape(text: str) -> str:
    """Return text for XML; control characters become references, as S3 sends them."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return re.sub(r"[\x00-\x1f\x7f]", lambda match: f"&#x{ord(match[0]):x};", text)


def element(name: str, *content: str | int | bool) -> str:
    """Return ``<name>content…</name>``; content is XML already, or a number or truth value."""
    texts = (str(one).lower() if isinstance(one, bool) else str(one) for one in content)
    return f"<{name}>{''.join(texts)}</{name}>"


def xml_reply(status: int, body: bytes | str, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a reply with an XML document."""
    data = _XML_DECLARATION + body.encode() if isinstance(body, str) else body
    fixed = (("Content-Type", "application/xml"), ("Content-Length", str(len(data))))
    return Reply(status, (*fixed, *(headers or {}).items()), BytesContent(data), 0, len(data))


def error_reply(status: int, code: str, message: str, key: str, headers: Mapping[str, str]) -> Reply:
    """Return S3's error document."""
    body = element("Error", element("Code", escape(code)), element("Message", escape(message)),
                   element("Key", escape(key)))  # fmt: skip
    return xml_reply(status, body, headers)
