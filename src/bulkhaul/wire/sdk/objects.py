"""Whole objects without their bytes: copy, delete, versions, tags, presigned URLs; it must not know transfers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bulkhaul.model.errors import CredentialsError, NotFound, OtherError, TransferError, UnexpectedReply, Unsupported
from bulkhaul.model.limits import MAX_DELETE_BATCH, MAX_PRESIGN_S
from bulkhaul.model.objects import Bucket
from bulkhaul.model.writing import BucketsPage, Doomed, NotDeleted, ObjectOptions, ObjectVersion, Stored, VersionsPage
from bulkhaul.policy.deletions import ToldDeleted, not_deleted
from bulkhaul.wire import told
from bulkhaul.wire.learned import BATCHES
from bulkhaul.wire.reply import stored_by
from bulkhaul.wire.sdk.calls import call, instant
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.multipart import copy_source, quoted, stored
from bulkhaul.wire.sdk.option_headers import put_headers
from bulkhaul.wire.sdk.pages import goes_on_nowhere, require_bucket, require_key, require_listing, require_markers

_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What a document cannot hold: the SDK writes it as it is, and no parser reads it. Source: XML 1.0 §2.2, Char; not
written as the complement of that, for compiling it takes 10 ms of every start."""

_NO_BATCHES = frozenset({400, 403, 404, 405, 500, 501})
"""How endpoints say that they have no DeleteObjects. Source: boto/boto3 issue 2293 (Google Cloud Storage: 400
InvalidArgument), supabase/storage issue 898 (400 NotImplemented), scality/cloudserver issue 83 (400 InvalidURI),
basho/riak_cs issue 549 (405)."""

PATIENCE = 3
"""Batches in a row that may end in a 500 before it is taken for the endpoint's way to say so."""


def copy_object(
    sdk: SdkClient,
    bucket: str,
    key: str,
    *,
    source_bucket: str,
    source_key: str,
    source_version: str,
    source_etag: str,
    options: ObjectOptions | None,
    storage_class: str = "",
) -> Stored:
    """Copy an object of at most 5 GiB within the service; errors name the source (C35).

    Args:
        source_version: empty for the current one.
        source_etag: the source must still have it; empty to copy whatever is there.
        options: how the copy is to be stored; None to keep headers, metadata and tags. Without tags it keeps those.
        storage_class: of a copy that keeps the rest; empty for the service's own. It never comes along by itself.

    Raises:
        NotFound: there is no such source.
        PreconditionFailed: the source has changed.
        ServerError: no result came. Whether the copy is there is unknown.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{source_bucket}/{source_key}"
    sdk.require_unrewritten(key)
    # To keep all is what the service does if nothing is said, and some stores refuse to be told so.
    directives = {} if options is None else {"MetadataDirective": "REPLACE"}
    if options is not None and options.tags:
        directives["TaggingDirective"] = "REPLACE"
    headers = [] if options is None else put_headers(options)
    if options is None and storage_class:
        headers.append(("x-amz-storage-class", storage_class))
    with sdk.raw.sending(headers):
        reply = call(
            sdk.patient.copy_object,
            subject=subject,
            Bucket=bucket,
            Key=key,
            **directives,
            **copy_source(source_bucket, source_key, source_version, source_etag),
        )
    return stored(sdk, reply, reply.get("CopyObjectResult", {}), subject)


def delete_object(
    sdk: SdkClient, bucket: str, key: str, version_id: str, etag: str = "", *, known: bool = False
) -> None:
    """Delete a key, or one version of it; that there is none (any more) is success, unless it is ``known`` to be there.

    Args:
        etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.

    Raises:
        PreconditionFailed: the object has another ETag.
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    more = {"VersionId": version_id} if version_id else {}
    if etag:
        more["IfMatch"] = quoted(etag)
    try:
        call(sdk.patient.delete_object, subject=f"s3://{bucket}/{key}", Bucket=bucket, Key=key, **more)
    except NotFound as error:
        if known or error.info.service_code == "NoSuchBucket":
            raise


def delete_objects(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete up to 1,000 keys and return those that the service did not delete, or not for sure, with its reasons.

    One request for all of them where that can be: keys that XML cannot carry are deleted singly, and so is everything
    where the endpoint has no batches.

    Raises:
        TransferError: the service or the connection failed; what was deleted until then is.
    """
    assert len(doomed) <= MAX_DELETE_BATCH
    together = [one for one in doomed if not _NOT_IN_XML.search(one.key)]
    singly = [one for one in doomed if _NOT_IN_XML.search(one.key)]
    failed: list[NotDeleted] = []
    if together and not sdk.takes(BATCHES):
        singly = [*together, *singly]
    elif together:
        try:
            failed += _delete_batch(sdk, bucket, together)
        except TransferError as error:
            failed += _instead_of_batch(sdk, bucket, together, error)
    failed += [wrong for one in singly if (wrong := _delete_singly(sdk, bucket, one)) is not None]
    return tuple(failed)


def list_versions(sdk: SdkClient, bucket: str, prefix: str, key_marker: str, version_marker: str) -> VersionsPage:
    """Return one page of the versions of keys that begin with ``prefix``; empty markers ask for the first.

    They are in the order of keys, the newest of a key first; the version of an object from before versioning is
    ``null``.

    Raises:
        OtherError: an entry without a key.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{prefix}"
    more = {"KeyMarker": key_marker} if key_marker else {}
    if version_marker:
        more["VersionIdMarker"] = version_marker
    reply = call(sdk.client.list_object_versions, subject=subject, Bucket=bucket, Prefix=prefix, **more)
    truncated = require_listing(reply, subject)
    next_key = str(reply.get("NextKeyMarker", "")) if truncated else ""
    next_version = str(reply.get("NextVersionIdMarker", "")) if truncated else ""
    require_bucket(reply.get("Name"), bucket, subject)
    require_markers(next_key, next_version, subject)
    if truncated and (not next_key or (next_key, next_version) == (key_marker, version_marker)):
        raise goes_on_nowhere(subject)
    versions = [_version_of(item, prefix, subject, delete_marker=False) for item in reply.get("Versions", ())]
    versions += [_version_of(item, prefix, subject, delete_marker=True) for item in reply.get("DeleteMarkers", ())]
    # The SDK's parser tells versions and delete markers apart, and loses the order of both together.
    versions.sort(key=lambda one: one.last_modified, reverse=True)
    versions.sort(key=lambda one: (one.key.encode(), not one.latest))
    return VersionsPage(tuple(versions), next_key, next_version)


def object_tags(sdk: SdkClient, bucket: str, key: str, version_id: str) -> dict[str, str]:
    """Return the tags of an object.

    Raises:
        TransferError: the service or the connection failed.
    """
    sdk.require_unrewritten(key)
    more = {"VersionId": version_id} if version_id else {}
    reply = call(sdk.client.get_object_tagging, subject=f"s3://{bucket}/{key}", Bucket=bucket, Key=key, **more)
    found = reply.get("TagSet")
    if found is None or any(tag.get("Key") is None or tag.get("Value") is None for tag in found):
        raise UnexpectedReply("the reply to a question for tags tells none", f"s3://{bucket}/{key}")
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in found}
    if len(tags) < len(found) or len(tags) > told.MAX_TAGS:
        raise UnexpectedReply("the reply tells a tag twice, or more than any object has", f"s3://{bucket}/{key}")
    told.bounded((), tags, f"s3://{bucket}/{key}")
    return tags


def presign_get(sdk: SdkClient, bucket: str, key: str, version_id: str, ttl_s: int) -> str:
    """Return a URL that anybody can GET the object with for ``ttl_s`` seconds; nobody asks whether there is one (C37).

    Raises:
        OtherError: ``ttl_s`` is not 1 to 604,800.
        CredentialsError: there is nothing to sign with.
        Unsupported: the object's key (SSE-C) would have to come with the request.
    """
    subject = f"s3://{bucket}/{key}"
    if not 1 <= ttl_s <= MAX_PRESIGN_S or ttl_s != int(ttl_s):
        raise OtherError(f"a presigned URL lives 1 to {MAX_PRESIGN_S} whole seconds, not {ttl_s}", subject)
    if not sdk.signs:
        raise CredentialsError("a presigned URL needs credentials to sign it with", subject)
    if sdk.encrypts:
        raise Unsupported("who fetches by a presigned URL does not send the SSE-C key that the object needs", subject)
    sdk.require_unrewritten(key)
    params = {"Bucket": bucket, "Key": key} | ({"VersionId": version_id} if version_id else {})
    url: str = call(
        sdk.client.generate_presigned_url,
        subject=subject,
        ClientMethod="get_object",
        Params=params,
        ExpiresIn=int(ttl_s),
    )
    return url


def list_buckets(sdk: SdkClient, token: str) -> BucketsPage:
    """Return one page of the caller's buckets; an empty token asks for the first.

    Raises:
        UnexpectedReply: the reply is no list of buckets.
        TransferError: the service or the connection failed.
    """
    reply = call(sdk.client.list_buckets, subject="s3://", **({"ContinuationToken": token} if token else {}))
    if "Buckets" not in reply:
        raise UnexpectedReply("the reply to a listing of buckets is none", "s3://")
    found = tuple(_bucket(one) for one in reply["Buckets"])
    return BucketsPage(found, told.marker(reply.get("ContinuationToken"), "ContinuationToken", "s3://"))


def put_small(
    sdk: SdkClient, bucket: str, key: str, body: bytes, *, algorithm: str, checksum: str, only_if_absent: bool
) -> Stored:
    """Store a few bytes with a checksum that is sent as it is, right or wrong; to see what an endpoint does with it.

    Raises:
        PreconditionFailed: the object exists, and was not to.
        TransferError: the service or the connection failed.
    """
    subject = f"s3://{bucket}/{key}"
    more: dict[str, object] = {f"Checksum{algorithm}": checksum} if algorithm else {}
    if only_if_absent:
        more["IfNoneMatch"] = "*"
    reply = call(sdk.patient.put_object, subject=subject, Bucket=bucket, Key=key, Body=body, **more)
    headers = {name.lower(): str(value) for name, value in reply["ResponseMetadata"]["HTTPHeaders"].items()}
    return stored_by(headers, etag=str(reply.get("ETag", "")), where=sdk.host)


def bucket_region(sdk: SdkClient, bucket: str) -> str:
    """Return the region that a bucket lives in, empty where the endpoint does not tell.

    Raises:
        TransferError: the service or the connection failed.
    """
    reply = call(sdk.client.head_bucket, subject=f"s3://{bucket}", Bucket=bucket)
    return told.text(reply.get("BucketRegion"), "region", f"s3://{bucket}", most=told.MAX_NAME_CHARACTERS)


def _delete_batch(sdk: SdkClient, bucket: str, doomed: Sequence[Doomed]) -> list[NotDeleted]:
    objects = [{"Key": one.key} | ({"VersionId": one.version_id} if one.version_id else {}) for one in doomed]
    reply = call(
        sdk.patient.delete_objects,
        subject=f"s3://{bucket}",
        Bucket=bucket,
        Delete={"Objects": objects, "Quiet": False},  # a quiet answer says nothing of what was deleted
    )
    sdk.worked(BATCHES)
    deleted = [ToldDeleted(str(item.get("Key", "")), _versions_in(item)) for item in reply.get("Deleted", ())]
    errors = [
        NotDeleted(
            str(item.get("Key", "")),
            str(item.get("VersionId", "")),
            str(item.get("Code", "")),
            str(item.get("Message", "")),
        )
        for item in reply.get("Errors", ())
    ]
    return not_deleted(doomed, deleted, errors)


def _versions_in(item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item[name]) for name in ("VersionId", "DeleteMarkerVersionId") if item.get(name))


def _instead_of_batch(
    sdk: SdkClient, bucket: str, doomed: Sequence[Doomed], refused: TransferError
) -> list[NotDeleted]:
    """Delete one by one where the endpoint has no batches, which it may say in many ways; else raise ``refused``.

    What is refused to a single key as well was not about the batch.
    """
    passing = refused.info.status == 500
    alone = refused.info.status in _NO_BATCHES and refused.info.service_code != "NoSuchBucket"
    if not alone or (passing and sdk.failed(BATCHES) < PATIENCE):
        raise refused
    first, *others = doomed
    wrong = _delete_singly(sdk, bucket, first, known=isinstance(refused, NotFound))
    if wrong is not None and wrong.service_code in (refused.info.service_code, refused.info.code, "NotFound"):
        raise refused
    if not passing:
        sdk.does_without(BATCHES)
    outcomes = [wrong, *(_delete_singly(sdk, bucket, one) for one in others)]
    return [one for one in outcomes if one is not None]


def _delete_singly(sdk: SdkClient, bucket: str, one: Doomed, *, known: bool = False) -> NotDeleted | None:
    """Delete a key, and return why it could not be.

    Args:
        known: that there is none is no success: the endpoint may answer everything with 404.
    """
    try:
        delete_object(sdk, bucket, one.key, one.version_id, known=known)
    except TransferError as error:
        if error.retryable or error.info.service_code == "NoSuchBucket":
            raise
        return NotDeleted(one.key, one.version_id, error.info.service_code or error.info.code, error.message)
    return None


def _version_of(item: Mapping[str, Any], prefix: str, subject: str, *, delete_marker: bool) -> ObjectVersion:
    return ObjectVersion(
        key=require_key(item, prefix, subject),
        version_id=told.text(item.get("VersionId"), "VersionId", subject, most=told.MAX_ID_CHARACTERS),
        size_bytes=0 if delete_marker else told.number(item.get("Size"), "Size", subject),
        etag=told.etag(item.get("ETag"), subject),
        last_modified=instant(item.get("LastModified")),
        latest=bool(item.get("IsLatest", False)),
        delete_marker=delete_marker,
    )


def _bucket(item: Mapping[str, Any]) -> Bucket:
    name = told.text(item.get("Name"), "Name", "s3://", most=told.MAX_NAME_CHARACTERS)
    if not name:
        raise UnexpectedReply("the list of buckets holds one without a name", "s3://")
    return Bucket(name, instant(item.get("CreationDate")))


__all__ = [
    "bucket_region",
    "copy_object",
    "delete_object",
    "delete_objects",
    "list_buckets",
    "list_versions",
    "object_tags",
    "presign_get",
    "put_small",
]
