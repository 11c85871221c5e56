"""A request's body: plain, or framed as aws-chunked with trailing checksums.

Job: take off the framing, and refuse a body whose digest is not the one that was sent. Must not
know the store.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import replace

from bulkhaul.testing.faultserver.contents import BytesContent
from bulkhaul.testing.faultserver.http1 import HttpRequest
from bulkhaul.testing.faultserver.replies import S3Error

from .objects import Algorithm, base64_of, digest

ALGORITHMS: Mapping[Algorithm, int] = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA256": 32}


def unframed(http: HttpRequest) -> HttpRequest:
    """Return the request with its payload as the body, and announced trailers among the headers.

    Raises:
        S3Error: the framing is broken, or a trailer that was announced is missing.
    """
    encodings = [one.strip() for one in http.headers.get("content-encoding", "").split(",") if one.strip()]
    if not http.headers.get("x-amz-content-sha256", "").startswith("STREAMING-") and "aws-chunked" not in encodings:
        return http
    body, trailers = decode_aws_chunked(http.body)
    if http.headers.get("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
        raise S3Error("InvalidRequest", "x-amz-decoded-content-length is not the length of the body")
    announced = {one.strip().lower() for one in http.headers.get("x-amz-trailer", "").split(",") if one.strip()}
    if announced != set(trailers):
        raise S3Error("MalformedTrailerError", "The request contained trailing data that was not well-formed")
    headers = {name: value for name, value in http.headers.items() if name != "content-encoding"}
    if plain := ",".join(one for one in encodings if one != "aws-chunked"):
        headers["content-encoding"] = plain
    return replace(http, headers=headers | trailers, body=body)


def sent_checksum(headers: Mapping[str, str]) -> tuple[Algorithm, str] | None:
    """Return the checksum that the headers tell, or None.

    Raises:
        S3Error: there are several, or it cannot be one, or it was announced and is missing.
    """
    sent = [(one, headers[f"x-amz-checksum-{one.lower()}"]) for one in ALGORITHMS
            if f"x-amz-checksum-{one.lower()}" in headers]  # fmt: skip
    if len(sent) > 1:
        raise S3Error("InvalidRequest", "Expecting a single x-amz-checksum- header. Multiple checksum Types are "
                      "not allowed.")  # fmt: skip
    if not sent:
        if "x-amz-sdk-checksum-algorithm" in headers:
            raise S3Error("InvalidRequest", "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                          "x-amz-checksum-* or x-amz-trailer headers were found.")  # fmt: skip
        return None
    algorithm, value = sent[0]
    if len(_decoded(value.partition("-")[0])) != ALGORITHMS[algorithm]:
        raise S3Error("InvalidRequest", f"Value for x-amz-checksum-{algorithm.lower()} header is invalid.")
    return sent[0]


def verify(http: HttpRequest) -> tuple[Algorithm, str] | None:
    """Return the checksum that was sent with a body and is right, or None if none was sent.

    Raises:
        S3Error: a digest of the body that was sent is not that of what arrived.
    """
    sent = sent_checksum(http.headers)
    if sent is not None and sent[1] != base64_of(digest(BytesContent(http.body), sent[0])):
        raise S3Error("BadDigest", f"The {sent[0]} you specified did not match the calculated checksum.")
    verify_document(http)
    return sent


def verify_document(http: HttpRequest) -> None:
    """Return if the body is what Content-MD5 and x-amz-content-sha256 say, as far as they were sent.

    Raises:
        S3Error: it is not.
    """
    md5 = http.headers.get("content-md5")
    if md5 is not None:
        if len(_decoded(md5)) != hashlib.md5(usedforsecurity=False).digest_size:
            raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
        if md5 != base64_of(hashlib.md5(http.body, usedforsecurity=False).digest()):
            raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    claimed = http.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    if claimed == "UNSIGNED-PAYLOAD" or claimed.startswith("STREAMING-"):
        return
    if claimed != hashlib.sha256(http.body).hexdigest():
        raise S3Error("XAmzContentSHA256Mismatch", "x-amz-content-sha256 does not match what was computed.")


def decode_aws_chunked(framed: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the payload and the trailing headers; chunk signatures are not checked.

    Raises:
        S3Error: the framing is broken.
    """
    body = bytearray()
    offset = 0
    while True:
        stop = framed.find(b"\r\n", offset)
        try:
            size = int(framed[offset : max(stop, offset)].split(b";")[0], 16)
        except ValueError as error:
            raise S3Error("InvalidRequest", "a chunk has no size") from error
        offset = stop + 2
        if not size:
            break
        if framed[offset + size : offset + size + 2] != b"\r\n":
            raise S3Error("IncompleteBody", "a chunk is cut")
        body += memoryview(framed)[offset : offset + size]
        offset += size + 2
    trailers = (line.partition(b":") for line in framed[offset:].split(b"\r\n") if b":" in line)
    named = {name.decode().strip().lower(): value.decode().strip() for name, _, value in trailers}
    return bytes(body), {name: value for name, value in named.items() if name != "x-amz-trailer-signature"}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
