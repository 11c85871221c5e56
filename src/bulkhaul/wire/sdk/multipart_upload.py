"""Multipart uploads, all but the bodies of their parts: create, list, complete, abort.

A 200 without a result is an error here: an object counts as stored only if the reply tells its ETag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from bulkhaul.model.errors import NotFound, ServerError, TransferError
from bulkhaul.model.objects import TOKEN_KEY
from bulkhaul.model.writing import ObjectOptions, PartsPage, Stored, UploadBegun, UploadedPart, UploadsPage
from bulkhaul.wire.learned import OBJECT_SIZE
from bulkhaul.wire.option_headers import METADATA_PREFIX, put_headers
from bulkhaul.wire.replies.fields import stored
from bulkhaul.wire.replies.uploads import needs_encoding, parts_page, upload_begun, uploads_page
from bulkhaul.wire.sdk.calls import call
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.strict_xml import require_decodable


def create_upload(
    sdk: SdkClient, bucket: str, key: str, options: ObjectOptions, *, algorithm: str, token: str
) -> UploadBegun:
    """Begin an upload.

    Args:
        algorithm: checksum of the whole object that the service is to keep; empty for none.
        token: becomes metadata of the object under ``TOKEN_KEY``; empty for none.

    Raises:
        OtherError: the reply has no upload id.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    headers = put_headers(options)
    if token:
        headers.append((METADATA_PREFIX + TOKEN_KEY, token))
    kept_by = {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"} if algorithm else {}
    with sdk.raw.sending(headers):
        reply = call(sdk.client.create_multipart_upload, subject=subject, Bucket=bucket, Key=key, **kept_by)
    return upload_begun(reply, bucket, subject)


def list_parts(sdk: SdkClient, bucket: str, key: str, upload_id: str, marker: int) -> PartsPage:
    """Return one page of the parts that the service holds, in order: those after part ``marker``.

    Raises:
        NotFound: there is no such upload (any more).
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    reply = call(
        sdk.client.list_parts, subject=subject, Bucket=bucket, Key=key, UploadId=upload_id, PartNumberMarker=marker
    )
    return parts_page(reply, bucket, upload_id, marker, subject)


def complete_upload(
    sdk: SdkClient,
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
        ServerError: the reply has no result: the object may exist or not; HEAD and the token in it tell.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    sdk.require_unrewritten(key)
    member = f"Checksum{algorithm}"
    listed = [
        {"PartNumber": part.number, "ETag": part.etag}
        | ({member: part.checksum} if algorithm and part.checksum else {})
        for part in parts
    ]
    parameters: dict[str, Any] = {}
    if algorithm and checksum:
        parameters |= {member: checksum, "ChecksumType": "FULL_OBJECT"}

    def ask(more: Mapping[str, Any]) -> Mapping[str, Any]:
        reply: Mapping[str, Any] = call(
            sdk.patient.complete_multipart_upload,
            subject=subject,
            Bucket=bucket,
            Key=key,
            UploadId=upload_id,
            MultipartUpload={"Parts": listed},
            **parameters,
            **more,
        )
        return reply

    size = {"MpuObjectSize": size_bytes} if sdk.takes(OBJECT_SIZE) else {}
    try:
        reply = ask(size)
    except TransferError as error:
        if not size or not sdk.may_do_without(error):
            raise
        reply = ask({})
        sdk.does_without(OBJECT_SIZE)
    return stored(reply, reply.get("VersionId"), sdk.host, subject)


def abort_upload(sdk: SdkClient, bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload; success also if there is none (any more).

    Parts that were under way may still be stored: abort again until ``list_parts`` says that there is no such upload.

    Raises:
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    try:
        call(
            sdk.client.abort_multipart_upload,
            subject=f"s3://{bucket}/{key}",
            Bucket=bucket,
            Key=key,
            UploadId=upload_id,
        )
    except NotFound as error:
        if error.info.service_code == "NoSuchBucket":
            raise


def list_uploads(sdk: SdkClient, bucket: str, prefix: str, key_marker: str, id_marker: str) -> UploadsPage:
    """Return one page of the uploads under way whose key begins with ``prefix``; empty markers ask for the first.

    The keys are requested unencoded: some stores say that they percent-encode them and do not, and ``a+b`` cannot be
    told from ``a b`` then. A page with keys that XML cannot carry is requested again, encoded.

    Raises:
        OtherError: an entry without a key or an id.
        TransferError: the service or the connection failed.
    """
    try:
        page = _uploads(sdk, bucket, prefix, key_marker, id_marker, encoded=False)
    except ServerError:  # so the SDK reports a document that it cannot parse
        return _uploads(sdk, bucket, prefix, key_marker, id_marker, encoded=True)
    if needs_encoding(page):
        return _uploads(sdk, bucket, prefix, key_marker, id_marker, encoded=True)
    return page


def _uploads(
    sdk: SdkClient, bucket: str, prefix: str, key_marker: str, id_marker: str, *, encoded: bool
) -> UploadsPage:
    subject = f"s3://{bucket}/{prefix}"
    more = {"EncodingType": "url"} if encoded else {}
    if key_marker:
        more["KeyMarker"] = key_marker
    if id_marker:
        more["UploadIdMarker"] = id_marker
    reply = call(sdk.client.list_multipart_uploads, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    # The SDK decodes every other listing, but not this one.
    if encoded:
        call(require_decodable, subject=subject, parsed=reply)
    decode = unquote_plus if encoded and reply.get("EncodingType") == "url" else str
    return uploads_page(reply, bucket, prefix, (key_marker, id_marker), subject, decode)


__all__ = ["abort_upload", "complete_upload", "create_upload", "list_parts", "list_uploads"]
