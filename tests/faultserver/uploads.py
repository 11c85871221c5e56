"""PutObject's body: plain, or framed as aws-chunked with trailing checksums.

Job: turn an upload into a stored object, and refuse one whose digest is wrong.
Must not know the store.
"""

from __future__ import annotations

import base64
import hashlib

from .http1 import HttpRequest
from .objects import Algorithm, BytesContent, StoredObject, digest, make_object
from .replies import S3Error

_ALGORITHMS: tuple[Algorithm, ...] = ("CRC32", "CRC32C", "CRC64NVME", "SHA256")


def receive_object(http: HttpRequest) -> StoredObject:
    """Return the object that a PUT stores; like S3 it keeps a CRC64NVME if none was sent.

    Raises:
        S3Error: the framing is broken, or a digest that was sent is not that of the body.
    """
    encodings = [one.strip() for one in http.headers.get("content-encoding", "").split(",") if one.strip()]
    headers = dict(http.headers)
    body = http.body
    if headers.get("x-amz-content-sha256", "").startswith("STREAMING-") or "aws-chunked" in encodings:
        body, trailers = decode_aws_chunked(http.body)
        headers |= trailers
        if headers.get("x-amz-decoded-content-length", str(len(body))) != str(len(body)):
            raise S3Error("InvalidRequest", "x-amz-decoded-content-length is not the length of the body")
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    if headers.get("content-md5", base64.b64encode(md5).decode()) != base64.b64encode(md5).decode():
        raise S3Error("BadDigest", "The Content-MD5 you specified did not match what we received.")
    kept: Algorithm = "CRC64NVME"
    for algorithm in _ALGORITHMS:
        sent = headers.get(f"x-amz-checksum-{algorithm.lower()}")
        if sent is None:
            continue
        kept = algorithm
        if sent != base64.b64encode(digest(BytesContent(body), algorithm)).decode():
            raise S3Error("BadDigest", f"The {algorithm} you specified did not match what we received.")
    prefix = "x-amz-meta-"
    metadata = {name.removeprefix(prefix): text for name, text in headers.items() if name.startswith(prefix)}
    encoding = ",".join(one for one in encodings if one != "aws-chunked") or None
    return make_object(body, algorithm=kept, content_encoding=encoding, metadata=metadata)


def decode_aws_chunked(framed: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the payload and the trailing headers; chunk signatures are not checked.

    Raises:
        S3Error: the framing is broken.
    """
    body = bytearray()
    rest = framed
    while True:
        line, found, rest = rest.partition(b"\r\n")
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError as error:
            raise S3Error("InvalidRequest", "a chunk has no size") from error
        if not found or (size and rest[size : size + 2] != b"\r\n"):
            raise S3Error("InvalidRequest", "a chunk is cut")
        if not size:
            break
        body += rest[:size]
        rest = rest[size + 2 :]
    trailers = (line.partition(b":") for line in rest.split(b"\r\n") if b":" in line)
    return bytes(body), {name.decode().lower(): value.strip().decode() for name, _, value in trailers}
