"""The operations of a multipart upload, from Create to Complete or Abort.

Job: check what S3 checks, in its order, and let parts become an object. Must not know listings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.contents import BytesContent, Content
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import S3Error, element, escape, xml_reply

from .contents import JoinedContent, SlicedContent
from .description import describe
from .documents import NamedPart, parse_completion
from .objects import Algorithm, ChecksumType, StoredObject, base64_of, digest, make_object, md5_of
from .payload import sent_checksum, verify, verify_document
from .store import Store
from .uploads import Part, Upload
from .writes import MAX_COPY_BYTES, asked_algorithm, copy_source, require_conditions, require_key, require_length

#: Source: S3 User Guide, "Amazon S3 multipart upload limits".
_MAX_PART_NUMBER = 10_000
#: Source: S3 User Guide, "Checking object integrity", the first is the default.
_TYPES: dict[Algorithm, tuple[ChecksumType, ...]] = {
    "CRC32": ("COMPOSITE", "FULL_OBJECT"),
    "CRC32C": ("COMPOSITE", "FULL_OBJECT"),
    "CRC64NVME": ("FULL_OBJECT",),
    "SHA256": ("COMPOSITE",),
}


def create(call: Call, store: Store) -> Reply:
    """Begin an upload.

    Raises:
        S3Error: the key or what is said about the object is not valid.
    """
    headers = call.http.headers
    require_key(call.key)
    algorithm = asked_algorithm(headers)
    kind = _checksum_type(algorithm, headers.get("x-amz-checksum-type"))
    upload = store.uploads.begin(
        call.bucket, call.key, describe(headers), algorithm=algorithm, checksum_type=kind
    )  # fmt: skip
    told = {} if algorithm is None else {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": str(kind)}
    fields = (
        element("Bucket", escape(call.bucket)),
        element("Key", escape(call.key)),
        element("UploadId", escape(upload.upload_id)),
    )
    return xml_reply(200, element("InitiateMultipartUploadResult", *fields), told)


def upload_part(call: Call, store: Store) -> Reply:
    """Let a part land; one of the same number is replaced.

    Raises:
        S3Error: there is no such upload, or the body is not what was announced.
    """
    number = _number(call)
    require_length(call)
    upload = store.uploads.get(call.bucket, call.key, call.upload_id or "")
    sent = verify(call.http)
    given = None if sent is None else sent[0]
    # An upload that was created without an algorithm takes parts with any: boto3 sends CRC32 by default.
    if upload.algorithm not in (None, given) and not (given is None and upload.checksum_type == "FULL_OBJECT"):
        wanted, actual = (str(one or "null").lower() for one in (upload.algorithm, given))
        raise S3Error("InvalidRequest", f"Checksum Type mismatch occurred, expected checksum Type: {wanted}, actual "
                      f"checksum Type: {actual}")  # fmt: skip
    part = _landed(upload, number, BytesContent(call.http.body), given)
    told = () if sent is None else ((f"x-amz-checksum-{sent[0].lower()}", sent[1]),)
    return Reply(200, (("ETag", f'"{part.etag}"'), *told, ("Content-Length", "0")))


def upload_part_copy(call: Call, store: Store) -> Reply:
    """Let a part land that is a range of another object.

    Raises:
        S3Error: there is no such upload or source, it has changed, or the range is not in it.
    """
    number = _number(call)
    upload = store.uploads.get(call.bucket, call.key, call.upload_id or "")
    _, _, source = copy_source(call.http.headers, store)
    start, end = _copied_range(call.http.headers.get("x-amz-copy-source-range"), source.size_bytes)
    if end - start > MAX_COPY_BYTES:
        raise S3Error("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a "
                      f"copy source: {MAX_COPY_BYTES}")  # fmt: skip
    part = _landed(upload, number, SlicedContent(source.content, start, end))
    fields = (
        element("LastModified", part.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
        element("ETag", f"&quot;{part.etag}&quot;"),
        *(element(f"Checksum{name}", value) for name, value in part.checksums.items()),
    )
    return xml_reply(200, element("CopyPartResult", *fields))


def abort(call: Call, store: Store) -> Reply:
    """Drop an upload.

    Raises:
        S3Error: there is no such upload.
    """
    store.uploads.abort(store.uploads.get(call.bucket, call.key, call.upload_id or ""))
    return Reply(204)


def complete(call: Call, store: Store) -> Reply:
    """Make the object of the parts that the document names; the others are dropped.

    Raises:
        S3Error: there is no such upload, its parts are not as named, or a condition does not hold.
            The upload is still there.
    """
    headers = call.http.headers
    upload = store.uploads.get(call.bucket, call.key, call.upload_id or "")
    verify_document(call.http)
    named = parse_completion(call.http.body)
    parts = _named_parts(upload, named)
    for one, part in list(zip(named, parts, strict=True))[:-1]:
        if part.content.size_bytes < store.min_part_size_bytes:
            raise S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size: part "
                          f"{one.number} has {part.content.size_bytes} bytes")  # fmt: skip
    size = sum(part.content.size_bytes for part in parts)
    if headers.get("x-amz-mp-object-size", str(size)) != str(size):
        raise S3Error("InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match what was computed.")
    stored = _assembled(upload, parts)
    if headers.get("x-amz-checksum-type", upload.checksum_type) != upload.checksum_type:
        raise S3Error("BadDigest", "The checksum type is not the one that the upload was created with.")
    sent = sent_checksum(headers)
    if sent is not None and stored.checksums.get(sent[0]) != sent[1]:
        raise S3Error("BadDigest", f"The {sent[0]} you specified did not match the calculated checksum.")
    require_conditions(call, store)
    store.put(call.bucket, call.key, stored)
    store.uploads.complete(upload)
    fields = (
        element("Location", escape(store.url_of(call.bucket, call.key))),
        element("Bucket", escape(call.bucket)),
        element("Key", escape(call.key)),
        element("ETag", f"&quot;{stored.etag}&quot;"),
        *(element(f"Checksum{name}", value) for name, value in stored.checksums.items()),
        element("ChecksumType", stored.checksum_type),
    )
    return xml_reply(200, element("CompleteMultipartUploadResult", *fields))


def _checksum_type(algorithm: Algorithm | None, asked: str | None) -> ChecksumType | None:
    if algorithm is None:
        if asked is not None:
            raise S3Error("InvalidRequest", "The x-amz-checksum-type header can only be used with the "
                          "x-amz-checksum-algorithm header.")  # fmt: skip
        return None
    for kind in _TYPES[algorithm]:
        if asked in (None, kind):
            return kind
    raise S3Error("InvalidRequest", f"The {asked} checksum type cannot be used with the {algorithm.lower()} checksum "
                  "algorithm.")  # fmt: skip


def _number(call: Call) -> int:
    number = call.part_number
    if number is None or not 1 <= number <= _MAX_PART_NUMBER:
        raise S3Error("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive")
    return number


def _landed(upload: Upload, number: int, content: Content, given: Algorithm | None = None) -> Part:
    kept = upload.algorithm or given
    checksums = {} if kept is None else {kept: base64_of(digest(content, kept))}
    part = Part(content, md5_of(content), datetime.now(UTC), checksums)
    upload.parts[number] = part
    return part


def _copied_range(header: str | None, size: int) -> tuple[int, int]:
    if header is None:
        return 0, size
    match = re.fullmatch(r"bytes=(\d{1,18})-(\d{1,18})", header)
    if match is None or int(match[1]) > int(match[2]):
        raise S3Error("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where "
                      "first and last are the zero-based offsets of the first and last bytes to copy")  # fmt: skip
    if int(match[2]) >= size:
        raise S3Error("InvalidArgument", f"Range specified is not valid for source object of size: {size}")
    return int(match[1]), int(match[2]) + 1


def _named_parts(upload: Upload, named: list[NamedPart]) -> list[Part]:
    numbers = [one.number for one in named]
    composite = upload.checksum_type == "COMPOSITE"
    if sorted(set(numbers)) != numbers or (composite and numbers != list(range(1, len(numbers) + 1))):
        raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
    parts: list[Part] = []
    for one in named:
        part = upload.parts.get(one.number)
        if composite and upload.algorithm not in one.checksums:
            raise S3Error("InvalidRequest", f"The upload was created using a {str(upload.algorithm).lower()} checksum. "
                          "The complete request must include the checksum for each part. It was missing for part "
                          f"{one.number} in the request.")  # fmt: skip
        if part is None or part.etag != one.etag or any(
            part.checksums.get(name) != value for name, value in one.checksums.items()
        ):  # fmt: skip
            raise S3Error("InvalidPart", "One or more of the specified parts could not be found. The part may not "
                          "have been uploaded, or its entity tag may not match the one specified.")  # fmt: skip
        parts.append(part)
    return parts


def _assembled(upload: Upload, parts: list[Part]) -> StoredObject:
    whole = md5_of(BytesContent(b"".join(part.md5 for part in parts))).hex()
    stored = make_object(
        JoinedContent([part.content for part in parts]),
        algorithm=upload.algorithm or "CRC64NVME",
        checksum_type=upload.checksum_type or "FULL_OBJECT",
        part_sizes=tuple(part.content.size_bytes for part in parts),
        etag=f"{whole}-{len(parts)}",
    )
    return upload.description.of(stored)
