"""The operations of S3, by name.

Job: give a call to the operation that it names, and turn a refusal into an error document. Must
not know sockets or faults, nor what an operation does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import ERROR_STATUS, S3Error, element, error_reply, xml_reply

from . import multipart, pending, writes
from .listing import list_objects, list_objects_v1, list_versions
from .objects import StoredObject
from .payload import verify_document
from .reads import read, restore
from .store import Store


def _list(listing: Callable[..., Reply], call: Call, store: Store) -> Reply:
    """List objects, with the status of their restores where it is asked for."""
    asked = call.http.headers.get("x-amz-optional-object-attributes") == "RestoreStatus"

    def status(key: str, stored: StoredObject) -> str:
        return store.archives.listed((call.bucket, key), stored) if asked else ""

    return listing(call.bucket, store.in_bucket(call.bucket), call.query, status)


_OPERATIONS: Mapping[str, Callable[[Call, Store], Reply]] = {
    "AbortMultipartUpload": multipart.abort,
    "CompleteMultipartUpload": multipart.complete,
    "CopyObject": writes.copy_object,
    "CreateMultipartUpload": multipart.create,
    "DeleteObject": writes.delete_object,
    "DeleteObjects": writes.delete_objects,
    "GetBucketVersioning": lambda call, store: xml_reply(200, element("VersioningConfiguration")),
    "GetObject": read,
    "GetObjectAttributes": read,
    "GetObjectTagging": read,
    "HeadBucket": lambda call, store: Reply(200, (("x-amz-bucket-region", "us-east-1"), ("Content-Length", "0"))),
    "HeadObject": read,
    "ListMultipartUploads": pending.list_uploads,
    "ListObjectVersions": lambda call, store: list_versions(call.bucket, store.in_bucket(call.bucket), call.query),
    "ListObjects": lambda call, store: _list(list_objects_v1, call, store),
    "ListObjectsV2": lambda call, store: _list(list_objects, call, store),
    "ListParts": pending.list_parts,
    "PutObject": writes.put_object,
    "RestoreObject": restore,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": multipart.upload_part_copy,
}
#: These check their body themselves, together with its checksum.
_WITH_BODY = frozenset({"CompleteMultipartUpload", "DeleteObjects", "PutObject", "UploadPart"})


def perform(call: Call, store: Store) -> Reply:
    """Return the honest reply to a call."""
    try:
        if not store.has_bucket(call.bucket):
            raise S3Error("NoSuchBucket", "The specified bucket does not exist")
        operation = _OPERATIONS.get(call.operation)
        if operation is None:
            raise S3Error("NotImplemented", f"{call.operation} is not implemented")
        if call.query.get("versionId", "null") != "null":
            raise S3Error("NoSuchVersion", "The specified version does not exist.")
        if call.operation not in _WITH_BODY:
            verify_document(call.http)
        return operation(call, store)
    except S3Error as error:
        return refusal(error, call.key)


def refusal(error: S3Error, key: str) -> Reply:
    """Return the error document of a refusal."""
    return error_reply(ERROR_STATUS[error.code], error.code, error.message, key, error.headers)
