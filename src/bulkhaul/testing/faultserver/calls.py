"""Reads requests as calls: which operation, on which bucket and key, for which range or part."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote_to_bytes

from bulkhaul.testing.faultserver.http1 import HttpRequest
from bulkhaul.testing.faultserver.replies import S3Error

LISTINGS = frozenset({"ListObjects", "ListObjectsV2", "ListMultipartUploads", "ListObjectVersions"})
#: What would be another operation than the plain one: must not be mistaken for it.
_SUBRESOURCES = frozenset({
    "acl", "attributes", "delete", "location", "partNumber", "policy", "restore", "retention", "tagging", "torrent",
    "uploadId", "uploads", "versionId", "versioning", "versions",
})  # fmt: skip
_OF_OBJECT: Mapping[tuple[str, frozenset[str]], str] = {
    ("GET", frozenset()): "GetObject",
    ("GET", frozenset({"partNumber"})): "GetObject",
    ("GET", frozenset({"attributes"})): "GetObjectAttributes",
    ("GET", frozenset({"tagging"})): "GetObjectTagging",
    ("GET", frozenset({"uploadId"})): "ListParts",
    ("HEAD", frozenset()): "HeadObject",
    ("HEAD", frozenset({"partNumber"})): "HeadObject",
    ("PUT", frozenset()): "PutObject",
    ("PUT", frozenset({"partNumber", "uploadId"})): "UploadPart",
    ("POST", frozenset({"uploads"})): "CreateMultipartUpload",
    ("POST", frozenset({"uploadId"})): "CompleteMultipartUpload",
    ("POST", frozenset({"restore"})): "RestoreObject",
    ("DELETE", frozenset()): "DeleteObject",
    ("DELETE", frozenset({"uploadId"})): "AbortMultipartUpload",
}
_OF_BUCKET: Mapping[tuple[str, frozenset[str]], str] = {
    ("HEAD", frozenset()): "HeadBucket",
    ("GET", frozenset({"uploads"})): "ListMultipartUploads",
    ("GET", frozenset({"versioning"})): "GetBucketVersioning",
    ("GET", frozenset({"versions"})): "ListObjectVersions",
    ("POST", frozenset({"delete"})): "DeleteObjects",
}


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for, in S3's terms."""

    operation: str
    bucket: str
    key: str
    query: Mapping[str, str]
    http: HttpRequest

    @property
    def upload_id(self) -> str | None:
        """The upload that the request names, if any."""
        return self.query.get("uploadId")

    @property
    def part_number(self) -> int | None:
        """The part asked for by number, if any."""
        text = self.query.get("partNumber", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def requested_range(self, size_bytes: int | None) -> tuple[int, int | None] | None:
        """Return the half-open range asked for, its end not clipped; None without a usable header.

        A suffix and an open end are resolved against ``size_bytes``, if that is known.
        """
        match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", self.http.headers.get("range", ""))
        if match is None or match[0] == "bytes=-":
            return None
        first, last = match.groups()
        if not first:
            return None if size_bytes is None else (max(0, size_bytes - int(last)), size_bytes)
        if not last:
            return int(first), size_bytes
        return (int(first), int(last) + 1) if int(first) <= int(last) else None


def parse_call(http: HttpRequest, host_suffixes: tuple[str, ...]) -> Call:
    """Return the call that a request makes.

    Args:
        http: the request.
        host_suffixes: hosts below which the first label is a bucket ("localhost": b.localhost).

    Raises:
        S3Error: the path is not valid.
    """
    path, _, raw_query = http.target.partition("?")
    query = dict(parse_qsl(raw_query, keep_blank_values=True))
    host = re.sub(r":\d+$", "", http.headers["host"])
    bucket = next((host.removesuffix(f".{end}") for end in host_suffixes if host.endswith(f".{end}")), None)
    try:
        text = unquote_to_bytes(path).decode("utf-8").removeprefix("/")
    except UnicodeDecodeError as error:
        raise S3Error("InvalidArgument", "the path is not UTF-8") from error
    if bucket is None:
        bucket, _, text = text.partition("/")
    operation = _operation(http.method, text, query, http.headers)
    key = query.get("prefix", "") if operation in LISTINGS else text
    return Call(operation, bucket, key, query, http)


def _operation(method: str, key: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    known = _named(key, method, query)
    if known is None:
        subresource = sorted(_SUBRESOURCES.intersection(query))
        return f"{method} {'&'.join(subresource) or ('object' if key else 'bucket')}"
    if "x-amz-copy-source" in headers:
        return {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}.get(known, known)
    return known


def _named(key: str, method: str, query: Mapping[str, str]) -> str | None:
    """Return what S3 calls this request, a copy aside, or None where this server does not know it."""
    asked = frozenset(_SUBRESOURCES.intersection(query))
    if key:
        return _OF_OBJECT.get((method, asked - {"versionId"}))
    if method == "GET" and not asked and query.get("list-type") == "2":
        return "ListObjectsV2"
    if method == "GET" and not asked and query:
        return "ListObjects"
    return _OF_BUCKET.get((method, asked))
