"""Multipart uploads by the lane, all but the bodies of their parts: create, list, complete, abort.

A 200 without a result is an error here: an object counts as stored only if the reply tells its ETag.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from bulkhaul.model.errors import NotFound, ServerError, TransferError
from bulkhaul.model.objects import TOKEN_KEY
from bulkhaul.model.writing import ObjectOptions, PartsPage, Stored, UploadBegun, UploadedPart, UploadsPage
from bulkhaul.policy.endpoints import may_go_without
from bulkhaul.wire.documents import Shape, boolean, instant, integer, texts
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.lane.request_xml import XMLNS, element
from bulkhaul.wire.learned import OBJECT_SIZE
from bulkhaul.wire.option_headers import METADATA_PREFIX, put_headers
from bulkhaul.wire.replies.fields import decoded, stored
from bulkhaul.wire.replies.uploads import needs_encoding, parts_page, upload_begun, uploads_page
from bulkhaul.wire.values import Target

CHECKSUMS = tuple(
    f"Checksum{name}"
    for name in (
        "CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "MD5", "XXHASH64", "XXHASH3", "XXHASH128", "Type",
    )
)  # fmt: skip
"""Source: S3 API Reference, CompleteMultipartUpload and Part."""

_BEGUN = Shape(texts(("Bucket", "UploadId")))
_COMPLETED = Shape(texts(("ETag", *CHECKSUMS)))
_PART = Shape({**texts(("ETag", *CHECKSUMS)), "PartNumber": integer, "Size": integer})
_PARTS = Shape(
    {**texts(("Bucket", "UploadId")), "IsTruncated": boolean, "NextPartNumberMarker": integer},
    {"Part": ("Parts", _PART)},
)
_UPLOADS = Shape(
    {**texts(("Bucket", "NextKeyMarker", "NextUploadIdMarker", "EncodingType")), "IsTruncated": boolean},
    {"Upload": ("Uploads", Shape({**texts(("Key", "UploadId")), "Initiated": instant}))},
)


async def create_upload(
    lane: Lane, target: Target, bucket: str, key: str, options: ObjectOptions, *, algorithm: str, token: str
) -> UploadBegun:
    """Begin an upload.

    Args:
        algorithm: checksum of the whole object that the service is to keep; empty for none.
        token: becomes metadata of the object under ``TOKEN_KEY``; empty for none.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: the reply has no upload id.
        TransferError: the service or the connection failed.
    """
    headers = [*lane.about_object, *put_headers(options)]
    if token:
        headers.append((METADATA_PREFIX + TOKEN_KEY, token))
    if algorithm:
        headers += [("x-amz-checksum-algorithm", algorithm), ("x-amz-checksum-type", "FULL_OBJECT")]
    subject = f"s3://{bucket}/{key}"
    reply = await lane.ask(target, "POST", key, [("uploads", "")], headers, subject=subject)
    told = reply.members(_BEGUN)
    for member, header in (("ChecksumAlgorithm", "algorithm"), ("ChecksumType", "type")):
        if (value := reply.headers.get(f"x-amz-checksum-{header}")) is not None:
            told[member] = value
    return upload_begun(told, bucket, subject)


async def list_parts(lane: Lane, target: Target, bucket: str, key: str, upload_id: str, marker: int) -> PartsPage:
    """Return one page of the parts that the service holds, in order: those after part ``marker``.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        NotFound: there is no such upload (any more).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    query = [("part-number-marker", str(marker)), ("uploadId", upload_id)]
    reply = await lane.ask(target, "GET", key, query, lane.about_object, subject=subject)
    return parts_page(reply.members(_PARTS), bucket, upload_id, marker, subject)


async def complete_upload(
    lane: Lane,
    target: Target,
    bucket: str,
    key: str,
    upload_id: str,
    parts: Sequence[UploadedPart],
    *,
    size_bytes: int,
    algorithm: str,
    checksum: str,
) -> Stored:
    """Complete an upload: the service makes the object of its parts.

    Args:
        parts: in order of their numbers.
        size_bytes: of the whole object; a service that knows this parameter refuses any other size.
        algorithm: of the parts' checksums; empty to send none. Services that keep only those of the parts demand them
            here, too, whatever they said when the upload was created.
        checksum: of the whole object, base64; empty if the service keeps none.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        ServerError: the reply has no result: the object may exist or not; HEAD and the token in it tell.
        TransferError: the service or the connection failed.
    """
    member = f"Checksum{algorithm}"
    listed = [
        element(
            "Part",
            element("PartNumber", str(part.number)),
            element("ETag", part.etag),
            *([element(member, part.checksum)] if algorithm and part.checksum else []),
        )
        for part in parts
    ]
    body = element("CompleteMultipartUpload", *listed, attributes=XMLNS).encode()
    headers = list(lane.about_object)
    if algorithm and checksum:
        headers += [(f"x-amz-checksum-{algorithm.lower()}", checksum), ("x-amz-checksum-type", "FULL_OBJECT")]
    subject, query = f"s3://{bucket}/{key}", [("uploadId", upload_id)]
    sized = lane.learned.takes(target.host, OBJECT_SIZE)
    size = [(OBJECT_SIZE, str(size_bytes))] if sized else []
    try:
        reply = await lane.ask(target, "POST", key, query, headers + size, body, subject=subject, patient=True)
    except TransferError as error:
        if not sized or not may_go_without(target.host, error.info):
            raise
        reply = await lane.ask(target, "POST", key, query, headers, body, subject=subject, patient=True)
        lane.learned.does_without(target.host, OBJECT_SIZE)
    version_id = reply.headers.get("x-amz-version-id")
    return stored(reply.members(_COMPLETED), version_id, target.host_header, subject)


async def abort_upload(lane: Lane, target: Target, bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload; success also if there is none (any more).

    Parts that were under way may still be stored: abort again until ``list_parts`` says that there is no such upload.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        TransferError: the service or the connection failed.
    """
    try:
        reply = await lane.ask(
            target,
            "DELETE",
            key,
            [("uploadId", upload_id)],
            lane.payer,
            subject=f"s3://{bucket}/{key}",
            again=True,
        )
        reply.members()  # an error within a success
    except NotFound as error:
        if error.info.service_code == "NoSuchBucket":
            raise


async def list_uploads(
    lane: Lane, target: Target, bucket: str, prefix: str, key_marker: str, id_marker: str
) -> UploadsPage:
    """Return one page of the uploads under way whose key begins with ``prefix``; empty markers ask for the first.

    The keys are requested unencoded: some stores say that they percent-encode them and do not, and ``a+b`` cannot be
    told from ``a b`` then. A page with keys that XML cannot carry is requested again, encoded.

    Raises:
        SdkNeeded: the bucket lives elsewhere.
        OtherError: an entry without a key or an id.
        TransferError: the service or the connection failed.
    """
    try:
        page = await _uploads(lane, target, bucket, prefix, key_marker, id_marker, encoded=False)
    except ServerError:  # so a document is reported that cannot be parsed
        return await _uploads(lane, target, bucket, prefix, key_marker, id_marker, encoded=True)
    if needs_encoding(page):
        return await _uploads(lane, target, bucket, prefix, key_marker, id_marker, encoded=True)
    return page


async def _uploads(
    lane: Lane, target: Target, bucket: str, prefix: str, key_marker: str, id_marker: str, *, encoded: bool
) -> UploadsPage:
    subject = f"s3://{bucket}/{prefix}"
    query = [("uploads", ""), ("prefix", prefix)]
    if encoded:
        query.append(("encoding-type", "url"))
    if key_marker:
        query.append(("key-marker", key_marker))
    if id_marker:
        query.append(("upload-id-marker", id_marker))
    reply = await lane.ask(target, "GET", "", query, lane.payer, subject=subject)
    told = reply.members(_UPLOADS)
    url = encoded and told.get("EncodingType") == "url"
    decode = functools.partial(decoded, subject=subject) if url else str
    return uploads_page(told, bucket, prefix, (key_marker, id_marker), subject, decode)


__all__ = ["CHECKSUMS", "abort_upload", "complete_upload", "create_upload", "list_parts", "list_uploads"]
