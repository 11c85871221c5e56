"""Answers the coordinator's requests through the worker's boto3 client, in threads: whatever the lane leaves to it.

Each function below answers one request; the type checker sees that its answer has the type that the request names.
``Read`` is answered in ``get``, on the loop. This module imports boto3, so it is imported when it is first needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from bulkhaul.engine.messages.memory import read_all
from bulkhaul.engine.messages.request import Request
from bulkhaul.engine.messages.requests import (
    FIRST_GENERATION,
    AbortUpload,
    AnyRequest,
    BucketRegion,
    BucketVersioning,
    CompleteUpload,
    CopyObject,
    CopyPart,
    CreateBucket,
    CreateUpload,
    Delete,
    DeleteBucket,
    DeleteMany,
    GetAcl,
    GetLock,
    Head,
    ListBuckets,
    ListPage,
    ListParts,
    ListUploads,
    ListVersions,
    Locate,
    PartChecksums,
    Presign,
    PutSmall,
    Resolve,
    Restore,
    SetTags,
    Tags,
)
from bulkhaul.model.archives import RestoreAnswer
from bulkhaul.model.objects import ObjectHead, PartChecksum
from bulkhaul.model.preserving import Acl, ObjectLock
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import (
    BucketsPage,
    Doomed,
    NotDeleted,
    ObjectsPage,
    PartsPage,
    Stored,
    UploadBegun,
    UploadedPart,
    UploadsPage,
    Versioning,
    VersionsPage,
)
from bulkhaul.wire.sdk.buckets import (
    bucket_region,
    bucket_versioning,
    create_bucket,
    delete_bucket,
    list_buckets,
    locate,
)
from bulkhaul.wire.sdk.client import SdkClient
from bulkhaul.wire.sdk.copy_object import copy_object, copy_part
from bulkhaul.wire.sdk.credential_chain import resolve_credentials
from bulkhaul.wire.sdk.delete_objects import delete_object, delete_objects
from bulkhaul.wire.sdk.head_object import head_object
from bulkhaul.wire.sdk.list_objects import list_folder, list_page
from bulkhaul.wire.sdk.list_versions import list_versions
from bulkhaul.wire.sdk.multipart_upload import abort_upload, complete_upload, create_upload, list_parts, list_uploads
from bulkhaul.wire.sdk.object_acl import object_acl
from bulkhaul.wire.sdk.object_attributes import part_checksums
from bulkhaul.wire.sdk.object_lock import object_lock
from bulkhaul.wire.sdk.object_tags import object_tags, set_object_tags
from bulkhaul.wire.sdk.presigned_url import presign
from bulkhaul.wire.sdk.put_small import put_small
from bulkhaul.wire.sdk.restore_object import restore_object
from bulkhaul.wire.values import Credentials, Target

A = TypeVar("A")


class Asked(msgspec.Struct):
    """What the functions below answer requests with.

    Attributes:
        memory_fd: descriptor that came along with the request, -1 for none.
    """

    settings: Settings
    sdk: SdkClient
    memory_fd: int

    def memory(self, kind: type[A]) -> A:
        """Return the value in the memory that came along."""
        return msgspec.msgpack.decode(read_all(self.memory_fd), type=kind)


def answer(request: AnyRequest, asked: Asked) -> tuple[object, Target | None]:
    """Return the answer to a request, of the type that it names, and where the request went.

    Raises:
        TransferError: what the service or the SDK reported.
    """
    value = _ANSWERS[type(request)](asked, request)
    return value, _target(asked.sdk, request)


def _target(sdk: SdkClient, request: AnyRequest) -> Target | None:
    """Return where a request went, if further requests for the bucket will go there too.

    Every request that names a bucket tells, but for those that may have ended with one of another name.
    """
    if isinstance(request, Presign | DeleteMany | DeleteBucket | PartChecksums | Locate | ListBuckets | Resolve):
        return None
    bucket = getattr(request, "bucket", "")
    return sdk.target(bucket, getattr(request, "key", "")) if bucket else None


_ANSWERS: dict[type[Request[Any]], Callable[[Asked, Any], object]] = {}

_Answering = Callable[[Asked, Any], A]


def _answers(kind: type[Request[A]]) -> Callable[[_Answering[A]], _Answering[A]]:
    """Have a function answer the requests of a kind."""

    def register(function: _Answering[A]) -> _Answering[A]:
        _ANSWERS[kind] = function
        return function

    return register


@_answers(Locate)
def _locate(asked: Asked, request: Locate) -> Target:
    return locate(asked.sdk, request.bucket)


@_answers(Resolve)
def _resolve(asked: Asked, request: Resolve) -> Credentials | None:
    # The first time, what the session has read before the fork is new; for a renewal everything is read again.
    prepared = asked.sdk.session if request.generation == FIRST_GENERATION else None
    return resolve_credentials(asked.settings, request.generation, prepared)


@_answers(Head)
def _head(asked: Asked, request: Head) -> ObjectHead:
    return head_object(asked.sdk, request.bucket, request.key, version_id=request.version_id)


@_answers(ListPage)
def _list_page(asked: Asked, request: ListPage) -> ObjectsPage:
    bucket, prefix, token = request.bucket, request.prefix, request.token
    if request.folder:
        return list_folder(asked.sdk, bucket, prefix, token)
    return list_page(
        asked.sdk,
        bucket,
        prefix,
        token,
        request.max_keys or None,
        start_after=request.start_after,
        restores=request.restores,
    )


@_answers(ListBuckets)
def _list_buckets(asked: Asked, request: ListBuckets) -> BucketsPage:
    return list_buckets(asked.sdk, request.token)


@_answers(PartChecksums)
def _part_checksums(asked: Asked, request: PartChecksums) -> tuple[PartChecksum, ...]:
    return part_checksums(asked.sdk, request.bucket, request.head, request.version_id)


@_answers(PutSmall)
def _put_small(asked: Asked, request: PutSmall) -> Stored:
    return put_small(
        asked.sdk,
        request.bucket,
        request.key,
        request.body,
        algorithm=request.algorithm,
        checksum=request.checksum,
        only_if_absent=request.only_if_absent,
    )


@_answers(CreateUpload)
def _create_upload(asked: Asked, request: CreateUpload) -> UploadBegun:
    bucket, key, options = request.bucket, request.key, request.options
    return create_upload(asked.sdk, bucket, key, options, algorithm=request.algorithm, token=request.token)


@_answers(ListParts)
def _list_parts(asked: Asked, request: ListParts) -> PartsPage:
    return list_parts(asked.sdk, request.bucket, request.key, request.upload_id, request.marker)


@_answers(CompleteUpload)
def _complete_upload(asked: Asked, request: CompleteUpload) -> Stored:
    return complete_upload(
        asked.sdk,
        request.bucket,
        request.key,
        request.upload_id,
        asked.memory(list[UploadedPart]),
        size_bytes=request.size_bytes,
        algorithm=request.algorithm,
        checksum=request.checksum,
    )


@_answers(AbortUpload)
def _abort_upload(asked: Asked, request: AbortUpload) -> None:
    abort_upload(asked.sdk, request.bucket, request.key, request.upload_id)


@_answers(ListUploads)
def _list_uploads(asked: Asked, request: ListUploads) -> UploadsPage:
    return list_uploads(asked.sdk, request.bucket, request.prefix, request.key_marker, request.id_marker)


@_answers(CopyPart)
def _copy_part(asked: Asked, request: CopyPart) -> UploadedPart:
    return copy_part(
        asked.sdk,
        request.bucket,
        request.key,
        request.upload_id,
        request.number,
        request.source,
        start=request.start,
        end=request.end,
    )


@_answers(CopyObject)
def _copy_object(asked: Asked, request: CopyObject) -> Stored:
    return copy_object(
        asked.sdk,
        request.bucket,
        request.key,
        request.source,
        options=request.options,
        storage_class=request.storage_class,
        website_redirect=request.website_redirect,
    )


@_answers(Delete)
def _delete(asked: Asked, request: Delete) -> str:
    return delete_object(asked.sdk, request.bucket, request.key, request.version_id, request.etag)


@_answers(DeleteMany)
def _delete_many(asked: Asked, request: DeleteMany) -> tuple[NotDeleted, ...]:
    return delete_objects(asked.sdk, request.bucket, asked.memory(list[Doomed]))


@_answers(ListVersions)
def _list_versions(asked: Asked, request: ListVersions) -> VersionsPage:
    return list_versions(asked.sdk, request.bucket, request.prefix, request.key_marker, request.version_marker)


@_answers(Tags)
def _tags(asked: Asked, request: Tags) -> dict[str, str]:
    return object_tags(asked.sdk, request.bucket, request.key, request.version_id)


@_answers(Restore)
def _restore(asked: Asked, request: Restore) -> RestoreAnswer:
    bucket, key, version_id = request.bucket, request.key, request.version_id
    return restore_object(asked.sdk, bucket, key, version_id, days=request.days, tier=request.tier)


@_answers(GetAcl)
def _get_acl(asked: Asked, request: GetAcl) -> Acl:
    return object_acl(asked.sdk, request.bucket, request.key, request.version_id)


@_answers(GetLock)
def _get_lock(asked: Asked, request: GetLock) -> ObjectLock:
    return object_lock(asked.sdk, request.bucket, request.key, request.version_id)


@_answers(Presign)
def _presign(asked: Asked, request: Presign) -> str:
    method, content_type = request.method, request.content_type
    bucket, key, version_id, ttl_s = request.bucket, request.key, request.version_id, request.ttl_s
    return presign(asked.sdk, bucket, key, version_id, ttl_s, method=method, content_type=content_type)


@_answers(SetTags)
def _set_tags(asked: Asked, request: SetTags) -> None:
    set_object_tags(asked.sdk, request.bucket, request.key, request.version_id, request.tags)


@_answers(CreateBucket)
def _create_bucket(asked: Asked, request: CreateBucket) -> None:
    create_bucket(asked.sdk, request.bucket, request.region)


@_answers(DeleteBucket)
def _delete_bucket(asked: Asked, request: DeleteBucket) -> None:
    delete_bucket(asked.sdk, request.bucket)


@_answers(BucketVersioning)
def _bucket_versioning(asked: Asked, request: BucketVersioning) -> Versioning:
    return bucket_versioning(asked.sdk, request.bucket)


@_answers(BucketRegion)
def _bucket_region(asked: Asked, request: BucketRegion) -> str:
    return bucket_region(asked.sdk, request.bucket)
