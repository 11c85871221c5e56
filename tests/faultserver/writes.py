"""The operations that write or delete whole objects.

Job: PutObject, CopyObject, DeleteObject, DeleteObjects, and what copies have in common. Must not
know multipart uploads.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from bulkhaul.testing.faultserver.calls import Call
from bulkhaul.testing.faultserver.contents import BytesContent, Content
from bulkhaul.testing.faultserver.http1 import Reply
from bulkhaul.testing.faultserver.replies import S3Error, element, escape, xml_reply

from .contents import GIB, MIB
from .description import copied, describe
from .documents import parse_deletion
from .objects import Algorithm, StoredObject, make_object, md5_of
from .payload import ALGORITHMS, sent_checksum, verify
from .reads import matches
from .replies import checksum_headers
from .store import Store

#: Source: S3 API Reference, CopyObject: "up to 5 GB in size in a single atomic action".
MAX_COPY_BYTES = 5 * GIB
#: Source: S3 User Guide, "Naming Amazon S3 objects".
_MAX_KEY_BYTES = 1024
#: S3 adds a checksum of its own to every object; here not where that means reading a giant.
_OWN_CHECKSUM_BYTES = 64 * MIB


def put_object(call: Call, store: Store) -> Reply:
    """Store the body; without a checksum that was sent the object gets a CRC64NVME, as in S3.

    Raises:
        S3Error: the body is not what was announced, or a condition does not hold.
    """
    require_length(call)
    require_key(call.key)
    sent = verify(call.http)
    description = describe(call.http.headers)
    require_conditions(call, store)
    stored = _made(BytesContent(call.http.body), "CRC64NVME" if sent is None else sent[0])
    stored = description.of(stored)
    store.put(call.bucket, call.key, stored)
    return Reply(200, (("ETag", f'"{stored.etag}"'), *checksum_headers(stored), ("Content-Length", "0")))


def copy_object(call: Call, store: Store) -> Reply:
    """Store a copy of another object.

    Raises:
        S3Error: the source is not there, too large or changed, or nothing would change.
    """
    headers = call.http.headers
    require_key(call.key)
    bucket, key, source = copy_source(headers, store)
    if source.size_bytes > MAX_COPY_BYTES:
        raise S3Error("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a "
                      f"copy source: {MAX_COPY_BYTES}")  # fmt: skip
    same = (bucket, key) == (call.bucket, call.key)
    changing = "x-amz-storage-class", "x-amz-website-redirect-location"
    if same and headers.get("x-amz-metadata-directive") != "REPLACE" and not any(name in headers for name in changing):
        raise S3Error("InvalidRequest", "This copy request is illegal because it is trying to copy an object to "
                      "itself without changing the object's metadata, storage class, website redirect location or "
                      "encryption attributes.")  # fmt: skip
    description = copied(source, headers)
    require_conditions(call, store)
    stored = description.of(_made(source.content, asked_algorithm(headers) or next(iter(source.checksums), None)))
    store.put(call.bucket, call.key, stored)
    return xml_reply(200, element("CopyObjectResult", copy_result(stored, stored.checksums)))


def delete_object(call: Call, store: Store) -> Reply:
    """Delete the object; S3 does not mind if there was none.

    Raises:
        S3Error: If-Match names another object.
    """
    wanted, stored = call.http.headers.get("if-match"), store.get(call.bucket, call.key)
    if wanted is not None and stored is not None and not matches(wanted, stored):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions did not hold")
    code = store.refusal_to_delete(call.bucket, call.key)
    if code is not None:
        raise S3Error(code, "injected by the fault server")
    store.delete(call.bucket, call.key)
    return Reply(204)


def delete_objects(call: Call, store: Store) -> Reply:
    """Delete up to 1,000 objects, and tell of each what became of it.

    Raises:
        S3Error: the document is not valid, or came without a digest.
    """
    if "content-md5" not in call.http.headers and sent_checksum(call.http.headers) is None:
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    verify(call.http)
    keys, quiet = parse_deletion(call.http.body)
    results: list[str] = []
    for key, version_id, etag in keys:
        code, stored = store.refusal_to_delete(call.bucket, key), store.get(call.bucket, key)
        changed = stored is not None and etag != "" and not matches(etag, stored)
        if changed and store.honours_if_match(call.bucket, key):
            code = "PreconditionFailed"
        if version_id not in ("", "null"):
            code = "NoSuchVersion"
        named = [element("Key", escape(key)), *([element("VersionId", escape(version_id))] if version_id else [])]
        if code is None:
            store.delete(call.bucket, key)
            results += [] if quiet else [element("Deleted", *named)]
        else:
            refused = (element("Code", code), element("Message", "injected by the fault server"))
            results.append(element("Error", *named, *refused))
    return xml_reply(200, element("DeleteResult", *results))


def require_key(key: str) -> None:
    """Return if the key is not too long to be stored.

    Raises:
        S3Error: it is.
    """
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", "Your key is too long")


def require_length(call: Call) -> None:
    """Return if the request told how long its payload is.

    Raises:
        S3Error: it did not.
    """
    if call.http.chunked:
        if "x-amz-decoded-content-length" not in call.http.headers:
            raise S3Error("NotImplemented", "A header you provided implies functionality that is not implemented: "
                          "Transfer-Encoding")  # fmt: skip
    elif "content-length" not in call.http.headers:
        raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")


def require_conditions(call: Call, store: Store) -> None:
    """Return if If-None-Match and If-Match allow the key to be written.

    Raises:
        S3Error: they do not.
    """
    stored = store.get(call.bucket, call.key)
    unwanted, wanted = call.http.headers.get("if-none-match"), call.http.headers.get("if-match")
    if unwanted not in (None, "*"):
        raise S3Error("NotImplemented", "A header you provided implies functionality that is not implemented")
    if wanted is not None and stored is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    exists_unwanted = unwanted is not None and stored is not None
    changed = wanted is not None and stored is not None and not matches(wanted, stored)
    if exists_unwanted or (changed and store.honours_if_match(call.bucket, call.key)):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def copy_source(headers: Mapping[str, str], store: Store) -> tuple[str, str, StoredObject]:
    """Return bucket, key and object that a copy is made of.

    Raises:
        S3Error: it is not there, or not the one that x-amz-copy-source-if-match names.
    """
    path, _, version = headers["x-amz-copy-source"].removeprefix("/").partition("?versionId=")
    bucket, _, key = unquote(path, errors="strict").partition("/")
    if not bucket or not key or version not in ("", "null"):
        raise S3Error("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    if not store.has_bucket(bucket):
        raise S3Error("NoSuchBucket", "The specified bucket does not exist")
    stored = store.get(bucket, key)
    if stored is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    if not store.archives.is_readable((bucket, key), stored):
        raise S3Error("InvalidObjectState", "Operation is not valid for the source object's storage class")
    wanted, unwanted = (headers.get(f"x-amz-copy-source-{name}") for name in ("if-match", "if-none-match"))
    changed = wanted is not None and not matches(wanted, stored) and store.honours_if_match(bucket, key)
    if changed or (unwanted is not None and matches(unwanted, stored)):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    return bucket, key, stored


def asked_algorithm(headers: Mapping[str, str]) -> Algorithm | None:
    """Return the checksum that x-amz-checksum-algorithm asks S3 to keep.

    Raises:
        S3Error: there is none of that name.
    """
    name = headers.get("x-amz-checksum-algorithm")
    if name is None:
        return None
    known = next((one for one in ALGORITHMS if one == name.upper()), None)
    if known is None:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return known


def copy_result(stored: StoredObject, checksums: Mapping[Algorithm, str]) -> str:
    """Return what CopyObject tells of the copy."""
    kind = [element("ChecksumType", stored.checksum_type)] if checksums else []
    return "".join([
        element("LastModified", stored.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
        element("ETag", f"&quot;{stored.etag}&quot;"),
        *(element(f"Checksum{name}", value) for name, value in checksums.items()),
        *kind,
    ])  # fmt: skip


def _made(content: Content, algorithm: Algorithm | None) -> StoredObject:
    if algorithm is None and content.size_bytes <= _OWN_CHECKSUM_BYTES:
        algorithm = "CRC64NVME"
    return make_object(content, algorithm=algorithm, etag=md5_of(content).hex())
