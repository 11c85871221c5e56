"""Decides whether the reply to a GET describes exactly the bytes that were asked for, and reads those to PUTs.

    whole object   200, Content-Length = size,          the same ETag
    range          206, Content-Range = "bytes a-b/size", Content-Length = b − a + 1, the same ETag

Anything else is an error, whatever its status: a body is written only after this check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bulkhaul.model.errors import ErrorInfo, TransferError, UnexpectedReply
from bulkhaul.model.objects import Checksum, ChecksumKind
from bulkhaul.model.writing import Stored
from bulkhaul.policy.sameness import same_etag
from bulkhaul.wire import told
from bulkhaul.wire.classify import error_document, service_error
from bulkhaul.wire.transport import Sink, TransportError
from bulkhaul.wire.values import GetRequest

Headers = Mapping[str, str]

_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19})", re.IGNORECASE)
_LENGTH = re.compile("[0-9]{1,19}")
_CHECKSUMS = tuple(
    (f"x-amz-checksum-{algorithm.lower()}", algorithm)
    for algorithm in (
        "CRC64NVME", "CRC32C", "CRC32", "SHA256", "SHA1", "SHA512", "MD5", "XXHASH128", "XXHASH3", "XXHASH64"
    )
)  # fmt: skip
"""(header, algorithm), the cheapest to check first. Source: S3 API Reference, GetObject."""

_CHECKSUM_VALUE = re.compile(r"[0-9A-Za-z+/]{1,128}={0,2}(?:-[0-9]{1,6})?")
_OF_PARTS = re.compile(r'-[0-9]{1,6}"?')
"""How the ETag of an object uploaded in parts ends, in every service that tells them apart."""


def check_get(request: GetRequest, status: int, headers: Headers) -> ErrorInfo | None:
    """Return what is wrong with a 2xx reply to ``request``, None if its body may be written.

    Args:
        headers: names in lower case. ``content-length`` may be missing only if the body is chunked; the caller then
            counts the bytes that arrive.
    """
    if request.size_bytes < 0:
        return _check_unsized(request, status, headers)
    wanted = request.end - request.start
    length = headers.get("content-length")
    etag = headers.get("etag", "")
    if request.etag and etag and not same_etag(etag, request.etag):
        return _changed(request, etag)  # before the length is judged: another object has another length
    if request.whole:
        if status != 200:
            return ErrorInfo("UnexpectedReply", f"a GET of the whole object was answered with status {status}")
    elif status != 206:
        if status == 200 and "xml" in headers.get("content-type", "") and length != str(request.size_bytes):
            return ErrorInfo("UnexpectedReply", "a ranged GET was answered with status 200 and an XML document")
        return ErrorInfo(
            "RangeIgnored",
            f"a ranged GET was answered with status {status} instead of 206: this endpoint does not serve ranges;"
            f" a part size above the object's {request.size_bytes} bytes fetches it whole",
        )
    elif wrong := _range_mismatch(request, headers.get("content-range")):
        return wrong
    if length is not None and length != str(wanted):
        return ErrorInfo("UnexpectedReply", f"Content-Length is {length[:40]} where {wanted} bytes were asked for")
    return _changed(request, etag) if request.etag and not etag else None


def admit(request: GetRequest, status: int, headers: Headers, sink: Sink) -> None:
    """Let the body of a 2xx reply to ``request`` pass into a sink, and tell the sink the checksum of the whole object.

    Raises:
        TransportError: the reply is refused.
    """
    if wrong := check_get(request, status, headers):
        raise TransportError(transcoded(headers) or wrong)
    try:
        sink.expect(stored_checksum(headers) if request.whole else None)
    except TransferError as error:
        raise TransportError(error.info) from error


def _check_unsized(request: GetRequest, status: int, headers: Headers) -> ErrorInfo | None:
    """Judge the reply to a GET of an object of unknown size."""
    if request.whole:
        if status != 200:
            return ErrorInfo("UnexpectedReply", f"a GET of the whole object was answered with status {status}")
        if (length := headers.get("content-length")) is None:
            if "chunked" in headers.get("transfer-encoding", "").lower():
                return None
            # The end of the object could not be told from a broken connection.
            return ErrorInfo("UnexpectedReply", "the reply does not say how long the object is")
        if not _LENGTH.fullmatch(length):
            return ErrorInfo("UnexpectedReply", f"Content-Length is {length[:40]!r}, which is no length")
        return None
    if status != 206:
        text = f"a ranged GET was answered with status {status} instead of 206: this endpoint does not serve ranges"
        return ErrorInfo("RangeIgnored", text)
    content_range = headers.get("content-range")
    if content_range is None:
        return ErrorInfo("RangeIgnored", "a 206 reply carries no Content-Range, so nobody knows which bytes it holds")
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    if match is None or int(match.group(1)) != request.start or int(match.group(2)) >= request.end:
        text = f"Content-Range is {content_range[:80]!r} where bytes {request.start}-{request.end - 1} were asked for"
        return ErrorInfo("UnexpectedReply", text)
    wanted = request.end - request.start
    if int(match.group(2)) != request.end - 1:
        text = f"the object ends at byte {match.group(3)}, within the range that was asked for"
        return ErrorInfo("RangeNotSatisfiable", text)
    if int(match.group(3)) < request.end:
        return ErrorInfo("UnexpectedReply", f"Content-Range is {content_range[:80]!r}, and ends beyond the object")
    length = headers.get("content-length")
    if length is not None and length != str(wanted):
        text = f"Content-Length is {length[:40]} where {wanted} bytes were asked for"
        return ErrorInfo("RangeNotSatisfiable", text)
    return None


def transcoded(headers: Headers) -> ErrorInfo | None:
    """Return the error for a reply whose body the service has unpacked, None for any other reply.

    Source: Google Cloud Storage documentation, "Transcoding of gzip-compressed files".
    """
    stored = headers.get("x-goog-stored-content-encoding", "")
    unpacked = "gunzipped" in headers.get("x-guploader-response-body-transformations", "")
    if not unpacked and (stored != "gzip" or headers.get("content-encoding", "") == "gzip"):
        return None
    text = (
        "the service unpacks this object on the way (it is stored with Content-Encoding: gzip), so the bytes that it"
        " stores cannot be had; set its Cache-Control to no-transform, or store it without that encoding"
    )
    return ErrorInfo("Unsupported", text)


def failed_get(request: GetRequest, status: int, headers: Headers, body: bytes) -> ErrorInfo:
    """Return the typed error for a reply to ``request`` other than a 2xx; ``body`` is the beginning of its body."""
    code, detail = error_document(body)
    action = "s3:GetObjectVersion" if request.version_id else "s3:GetObject"
    info = service_error(status, service_code=code, detail=detail, headers=headers, action=action)
    return changed_if_412(request, info)


def changed_if_412(request: GetRequest, info: ErrorInfo) -> ErrorInfo:
    """Return what a refusal of ``request`` means: its only condition is the ETag of the object."""
    if info.code != "PreconditionFailed":
        return info
    return ErrorInfo(
        "ObjectChanged",
        f"the object changed: it is no longer the one with ETag {request.etag}",
        cause=info.cause,
        status=info.status,
        service_code=info.service_code,
        request_id=info.request_id,
        host_id=info.host_id,
    )


def failed_put(status: int, headers: Headers, body: bytes) -> ErrorInfo | None:
    """Return the typed error for the reply to a PUT, None for success; ``body`` is the beginning of its body."""
    if not 200 <= status < 300:
        code, detail = error_document(body)
        return service_error(status, service_code=code, detail=detail, headers=headers, action="s3:PutObject")
    if b"<Error>" in body:
        code, detail = error_document(body)
        return service_error(500, service_code=code, detail=detail, headers=headers)
    return None


def stored_checksum(headers: Headers) -> Checksum | None:
    """Return the object's checksum from the headers of a reply; of several, the cheapest to check.

    Raises:
        UnexpectedReply: a value that is no checksum.
    """
    for name, algorithm in _CHECKSUMS:
        if value := headers.get(name):
            if not _CHECKSUM_VALUE.fullmatch(value):
                text = f"the reply tells a {algorithm} checksum that can be none"
                raise UnexpectedReply(text, cause=repr(value[:80]))
            return Checksum(algorithm, value, _kind(algorithm, value, headers))
    return None


def stored_by(headers: Headers, *, etag: str, where: str) -> Stored:
    """Return what the reply to a PUT tells of the stored object.

    Args:
        etag: of the reply.
        where: host of the endpoint.

    Raises:
        UnexpectedReply: it has no ETag, and so does not say that anything was stored; or a value is malformed.
    """
    if not (found := told.etag(etag)):
        raise UnexpectedReply(untold(where))
    return Stored(found, told.version(headers.get("x-amz-version-id")), stored_checksum(headers))


def untold(where: str) -> str:
    """Return the message for a reply to a write that reports success but tells no ETag."""
    return (
        f"{where} answered with success, but told no ETag, as every S3 service does of what it has stored: whether"
        " anything was stored is unknown; check --endpoint-url, for it may lead to something that answers everybody so"
    )


def not_of_s3(what: str) -> str:
    """Return the message for a reply that reports success as no service of S3 does; ``what`` tells what it lacks."""
    return (
        f"the endpoint answered with success, but {what}; check --endpoint-url, for it may lead to something that is no"
        " S3"
    )


def _kind(algorithm: str, value: str, headers: Headers) -> ChecksumKind:
    """Return what a checksum covers. Stores without the type header mark a checksum of checksums by "-<parts>"."""
    said = headers.get("x-amz-checksum-type", "")
    if said == "COMPOSITE" or "-" in value:
        return ChecksumKind.COMPOSITE
    if said == "FULL_OBJECT" or algorithm == "CRC64NVME":
        return ChecksumKind.FULL_OBJECT
    # Some stores mark neither kind: for an object that was uploaded in parts it is unknown.
    return ChecksumKind.UNKNOWN if said or _OF_PARTS.search(headers.get("etag", "")[-8:]) else ChecksumKind.FULL_OBJECT


def _changed(request: GetRequest, etag: str) -> ErrorInfo:
    got = f"ETag {etag[:80]}" if etag else "no ETag"
    text = f"the object changed: a reply carries {got}, the transfer began with {request.etag}"
    return ErrorInfo("ObjectChanged", text)


def _range_mismatch(request: GetRequest, content_range: str | None) -> ErrorInfo | None:
    if content_range is None:
        return ErrorInfo("RangeIgnored", "a 206 reply carries no Content-Range, so nobody knows which bytes it holds")
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    wanted = (request.start, request.end - 1, request.size_bytes)
    if match and tuple(int(number) for number in match.groups()) == wanted:
        return None
    return ErrorInfo(
        "UnexpectedReply",
        f"Content-Range is {content_range[:80]!r} where 'bytes {wanted[0]}-{wanted[1]}/{wanted[2]}' was asked for",
    )
