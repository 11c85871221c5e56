"""The operations that read one object.

Job: reply with an object, a range or a part of it, or with what is known about it; have an archived
one brought back. Must not know how objects are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import S3Error, element, escape, xml_reply

from .documents import parse_restore
from .objects import StoredObject
from .replies import checksum_headers, object_headers, part_checksum_headers
from .store import Store

_MAX_PARTS = 1000
#: Source: S3 API Reference, GetObject, "Overriding response header values through the request".
_OVERRIDABLE = (
    "Content-Type",
    "Content-Language",
    "Expires",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
)


def read(call: Call, store: Store) -> Reply:
    """Return the reply to GetObject, HeadObject, GetObjectAttributes or GetObjectTagging.

    Raises:
        S3Error: there is no such object, range or part, or a condition does not hold.
    """
    stored = store.get(call.bucket, call.key)
    if stored is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    if call.operation == "GetObjectTagging":
        return _tagging(stored)
    if call.operation == "GetObjectAttributes":
        return _attributes(call, stored)
    wanted = call.http.headers.get("if-match")
    if wanted is not None and store.honours_if_match(call.bucket, call.key) and not matches(wanted, stored):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions did not hold")
    unwanted = call.http.headers.get("if-none-match")
    if unwanted is not None and matches(unwanted, stored):
        return Reply(304, (("ETag", f'"{stored.etag}"'),))
    name = (call.bucket, call.key)
    if call.operation == "GetObject" and not store.archives.is_readable(name, stored):
        raise S3Error("InvalidObjectState", "The operation is not valid for the object's storage class")
    return _object_reply(call, stored, store.archives.headers(name, stored))


def restore(call: Call, store: Store) -> Reply:
    """Have an archived object brought back.

    Raises:
        S3Error: there is no such object, or it cannot be restored now.
    """
    stored = store.get(call.bucket, call.key)
    if stored is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    days, tier = parse_restore(call.http.body)
    return Reply(store.archives.ask((call.bucket, call.key), stored, days, tier), (("Content-Length", "0"),))


def matches(header: str, stored: StoredObject) -> bool:
    """Tell whether an If-Match or If-None-Match names this object."""
    return any(one.strip().strip('"') in (stored.etag, "*") for one in header.split(","))


def _object_reply(call: Call, stored: StoredObject, restored: Mapping[str, str]) -> Reply:
    size = stored.size_bytes
    headers = [pair for pair in object_headers(stored) if pair[0] not in restored]
    headers += [pair for pair in restored.items() if pair[1]]
    reply = Reply(200, tuple(headers), stored.content, 0, size)
    if call.operation == "GetObject":
        for name in _OVERRIDABLE:
            if (text := call.query.get(f"response-{name.lower()}")) is not None:
                reply = replace(reply, headers=reply.with_header(name, text))
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


def _tagging(stored: StoredObject) -> Reply:
    tags = (
        element("Tag", element("Key", escape(key)), element("Value", escape(value)))
        for key, value in stored.tags.items()
    )
    return xml_reply(200, element("Tagging", element("TagSet", *tags)))


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
        parts.append(element("StorageClass", stored.storage_class))
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
