"""The operations of S3 that a download engine uses, on a store in memory.

Job: turn a request into a call (operation, bucket, key, range), and a call into a reply.
Must not know sockets or faults.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from .http1 import HttpRequest, Reply
from .listing import list_objects
from .objects import StoredObject
from .replies import (
    ERROR_STATUS,
    S3Error,
    checksum_headers,
    element,
    error_reply,
    object_headers,
    part_checksum_headers,
    xml_reply,
)
from .uploads import receive_object

_MAX_PARTS = 1000
#: What would be another operation than the plain one: must not be mistaken for it.
_SUBRESOURCES = frozenset(
    {"acl", "attributes", "restore", "retention", "tagging", "torrent", "uploadId", "uploads", "versionId"}
)


class Store:
    """Buckets with their objects. Every method is one step, so any thread may call it."""

    def __init__(self, base_url: str, objects: Mapping[tuple[str, str], StoredObject]) -> None:
        self._base_url = base_url
        self._objects = dict(objects)
        self._buckets = {bucket for bucket, _ in objects}
        self._ignoring_if_match: set[tuple[str, str]] = set()

    def add_bucket(self, bucket: str) -> None:
        """Let a bucket exist, even if it is empty."""
        self._buckets.add(bucket)

    def has_bucket(self, bucket: str) -> bool:
        """Tell whether a bucket exists."""
        return bucket in self._buckets

    def put(self, bucket: str, key: str, stored: StoredObject) -> None:
        """Add or replace an object."""
        self._buckets.add(bucket)
        self._objects[bucket, key] = stored

    def get(self, bucket: str, key: str) -> StoredObject | None:
        """Return an object, or None."""
        return self._objects.get((bucket, key))

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object, if it is there."""
        self._objects.pop((bucket, key), None)

    def in_bucket(self, bucket: str) -> dict[str, StoredObject]:
        """Return the objects of a bucket by key."""
        return {key: stored for (owner, key), stored in list(self._objects.items()) if owner == bucket}

    def ignore_if_match(self, bucket: str, key: str) -> None:
        """Answer this key's requests as if they had no If-Match."""
        self._ignoring_if_match.add((bucket, key))

    def honours_if_match(self, bucket: str, key: str) -> bool:
        """Tell whether If-Match counts for this key."""
        return (bucket, key) not in self._ignoring_if_match

    def url_of(self, bucket: str, key: str) -> str:
        """Return the path-style URL of an object."""
        return f"{self._base_url}/{bucket}/{quote(key, safe='/~')}"


@dataclass(frozen=True, slots=True)
class Call:
    """What a request asks for, in S3's terms."""

    operation: str
    bucket: str
    key: str
    query: Mapping[str, str]
    http: HttpRequest

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
    operation = _operation(http.method, text, query)
    key = query.get("prefix", "") if operation == "ListObjectsV2" else text
    return Call(operation, bucket, key, query, http)


def _operation(method: str, key: str, query: Mapping[str, str]) -> str:
    if key:
        if method == "GET" and "attributes" in query:
            return "GetObjectAttributes"
        if subresource := _SUBRESOURCES.intersection(query):
            return f"{method} {'&'.join(sorted(subresource))}"
        named = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}
        return named.get(method, method)
    if method == "GET" and query.get("list-type") == "2":
        return "ListObjectsV2"
    return {"HEAD": "HeadBucket"}.get(method, f"{method} bucket")


def perform(call: Call, store: Store) -> Reply:
    """Return the honest reply to a call."""
    try:
        if not store.has_bucket(call.bucket):
            raise S3Error("NoSuchBucket", "The specified bucket does not exist")
        if call.operation == "HeadBucket":
            return Reply(200, (("x-amz-bucket-region", "us-east-1"), ("Content-Length", "0")))
        if call.operation == "ListObjectsV2":
            return list_objects(call.bucket, store.in_bucket(call.bucket), call.query)
        if call.operation == "PutObject" and "x-amz-copy-source" not in call.http.headers:
            stored = receive_object(call.http)
            store.put(call.bucket, call.key, stored)
            return Reply(200, (("ETag", f'"{stored.etag}"'), ("Content-Length", "0")))
        if call.operation == "DeleteObject":
            store.delete(call.bucket, call.key)
            return Reply(204)
        if call.operation in ("GetObject", "HeadObject", "GetObjectAttributes"):
            return _read(call, store)
        raise S3Error("NotImplemented", f"{call.operation} is not implemented")
    except S3Error as error:
        return error_reply(ERROR_STATUS[error.code], error.code, error.message, call.key, error.headers)


def _read(call: Call, store: Store) -> Reply:
    stored = store.get(call.bucket, call.key)
    if stored is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    if call.operation == "GetObjectAttributes":
        return _attributes(call, stored)
    wanted = call.http.headers.get("if-match")
    if wanted is not None and store.honours_if_match(call.bucket, call.key) and not _matches(wanted, stored):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions did not hold")
    unwanted = call.http.headers.get("if-none-match")
    if unwanted is not None and _matches(unwanted, stored):
        return Reply(304, (("ETag", f'"{stored.etag}"'),))
    return _object_reply(call, stored)


def _matches(header: str, stored: StoredObject) -> bool:
    return any(one.strip().strip('"') in (stored.etag, "*") for one in header.split(","))


def _object_reply(call: Call, stored: StoredObject) -> Reply:
    size = stored.size_bytes
    reply = Reply(200, object_headers(stored), stored.content, 0, size)
    asks_checksums = call.http.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED"
    extra: tuple[tuple[str, str], ...] = checksum_headers(stored) if asks_checksums else ()
    number, span = call.part_number, call.requested_range(size)
    if number is not None:
        if "range" in call.http.headers:
            raise S3Error("InvalidRequest", "Cannot specify both Range header and partNumber")
        part = stored.part_range(number)
        if part is None:
            raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable")
        span = part if size else None
        if stored.part_sizes is not None:
            extra = part_checksum_headers(stored, number) if asks_checksums else ()
            extra = (*extra, ("x-amz-mp-parts-count", str(len(stored.part_sizes))))
    elif span is not None:
        if span[0] >= size or span[0] == span[1]:
            unsatisfied = {"Content-Range": f"bytes */{size}"}
            raise S3Error("InvalidRange", "The requested range is not satisfiable", unsatisfied)
        extra = extra if call.operation == "HeadObject" else ()
    if span is not None:
        start, end = span[0], min(span[1] or size, size)
        extra = (("Content-Range", f"bytes {start}-{end - 1}/{size}"), *extra)
        reply = replace(reply, status=206, start=start, end=end)
    length = ("Content-Length", str(reply.length))
    return replace(reply, headers=(*reply.headers, length, *extra))


def _attributes(call: Call, stored: StoredObject) -> Reply:
    asked = {one.strip() for one in call.http.headers.get("x-amz-object-attributes", "").split(",")}
    parts: list[str] = []
    if "ETag" in asked:
        parts.append(element("ETag", stored.etag))
    if "Checksum" in asked and stored.checksums:
        values = [element(f"Checksum{name}", value) for name, value in stored.checksums.items()]
        parts.append(element("Checksum", *values, element("ChecksumType", stored.checksum_type)))
    if "ObjectParts" in asked and stored.part_sizes is not None:
        parts.append(_object_parts(call, stored, stored.part_sizes))
    if "StorageClass" in asked:
        parts.append(element("StorageClass", "STANDARD"))
    if "ObjectSize" in asked:
        parts.append(element("ObjectSize", stored.size_bytes))
    modified = dict(object_headers(stored))["Last-Modified"]
    return xml_reply(200, element("GetObjectAttributesResponse", *parts), {"Last-Modified": modified})


def _object_parts(call: Call, stored: StoredObject, sizes: tuple[int, ...]) -> str:
    """Return the part map; S3 lists the parts only where it kept their checksums."""
    limit = min(int(call.http.headers.get("x-amz-max-parts", _MAX_PARTS)), _MAX_PARTS)
    marker = int(call.http.headers.get("x-amz-part-number-marker", 0))
    numbers = range(marker + 1, min(marker + limit, len(sizes)) + 1) if stored.part_checksums else range(0)
    listed = [
        element(
            "Part",
            element("PartNumber", number),
            element("Size", sizes[number - 1]),
            *(element(f"Checksum{name}", kept[number - 1]) for name, kept in stored.part_checksums.items()),
        )
        for number in numbers
    ]
    last = numbers[-1] if numbers else marker
    return element(
        "ObjectParts",
        element("PartsCount", len(sizes)),
        element("PartNumberMarker", marker),
        element("NextPartNumberMarker", last),
        element("MaxParts", limit),
        element("IsTruncated", bool(numbers) and last < len(sizes)),
        *listed,
    )
