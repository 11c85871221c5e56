"""Answers the coordinator's requests by the lane, on the worker's loop.

Each function below answers one request; the type checker sees that its answer has the type that the request names.
What stands not here, and what raises ``SdkNeeded``, ``sdk_answers`` answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from bulkhaul.engine.messages.memory import read_all
from bulkhaul.engine.messages.request import Request
from bulkhaul.engine.messages.requests import (
    AbortUpload,
    AnyRequest,
    BucketRegion,
    CompleteUpload,
    CopyObject,
    CopyPart,
    CreateBucket,
    CreateUpload,
    Delete,
    DeleteBucket,
    DeleteMany,
    Head,
    ListBuckets,
    ListPage,
    ListParts,
    ListUploads,
    ListVersions,
    Locate,
    Presign,
    PutSmall,
    Restore,
    SetTags,
    Tags,
)
from bulkhaul.model.archives import RestoreAnswer
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.structs import learnt
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
    VersionsPage,
)
from bulkhaul.wire.lane.buckets import bucket_region, create_bucket, delete_bucket, list_buckets, locate
from bulkhaul.wire.lane.client import Lane
from bulkhaul.wire.lane.copy_object import copy_object, copy_part
from bulkhaul.wire.lane.delete_objects import delete_object, delete_objects
from bulkhaul.wire.lane.head_object import ask_head
from bulkhaul.wire.lane.list_objects import ask_page
from bulkhaul.wire.lane.list_versions import list_versions
from bulkhaul.wire.lane.multipart_upload import abort_upload, complete_upload, create_upload, list_parts, list_uploads
from bulkhaul.wire.lane.object_tags import object_tags, set_object_tags
from bulkhaul.wire.lane.presigned_url import presign
from bulkhaul.wire.lane.put_small import put_small
from bulkhaul.wire.lane.restore_object import restore_object
from bulkhaul.wire.values import Target

learnt(UploadedPart, Doomed)  # before any thread of the SDK decodes one

A = TypeVar("A")


class Asked(msgspec.Struct):
    """What the functions below answer requests with.

    Attributes:
        target: where requests for the bucket go, or for the service if it is about none.
        memory_fd: descriptor that came along with the request, -1 for none.
        tell_early: called with where the next page begins, before the answer is ready.
    """

    lane: Lane
    target: Target
    memory_fd: int
    tell_early: Callable[[str], None]

    def memory(self, kind: type[A]) -> A:
        """Return the value in the memory that came along."""
        return msgspec.msgpack.decode(read_all(self.memory_fd), type=kind)


def speaks(request: AnyRequest) -> bool:
    """Return whether the lane answers such requests."""
    return type(request) in _ANSWERS


async def answer(request: AnyRequest, asked: Asked) -> object:
    """Return the answer to a request, of the type that it names.

    Raises:
        SdkNeeded: the SDK has to make it; nothing was done.
        TransferError: what the service or the connection reported.
    """
    return await _ANSWERS[type(request)](asked, request)


_Answering = Callable[[Asked, Any], Awaitable[A]]

_ANSWERS: dict[type[Request[Any]], _Answering[Any]] = {}


def _answers(kind: type[Request[A]]) -> Callable[[_Answering[A]], _Answering[A]]:
    """Have a function answer the requests of a kind."""

    def register(function: _Answering[A]) -> _Answering[A]:
        _ANSWERS[kind] = function
        return function

    return register


@_answers(Locate)
async def _locate(asked: Asked, request: Locate) -> Target:
    return await locate(asked.lane, asked.target, request.bucket)


@_answers(Head)
async def _head(asked: Asked, request: Head) -> ObjectHead:
    return await ask_head(asked.lane, asked.target, request.bucket, request.key, request.version_id)


@_answers(ListPage)
async def _list_page(asked: Asked, request: ListPage) -> ObjectsPage:
    return await ask_page(
        asked.lane,
        asked.target,
        request.bucket,
        request.prefix,
        request.token,
        folder=request.folder,
        max_keys=request.max_keys,
        start_after=request.start_after,
        restores=request.restores,
        tell_early=asked.tell_early if request.early else None,
    )


@_answers(ListBuckets)
async def _list_buckets(asked: Asked, request: ListBuckets) -> BucketsPage:
    return await list_buckets(asked.lane, asked.target, request.token)


@_answers(PutSmall)
async def _put_small(asked: Asked, request: PutSmall) -> Stored:
    return await put_small(
        asked.lane,
        asked.target,
        request.bucket,
        request.key,
        request.body,
        algorithm=request.algorithm,
        checksum=request.checksum,
        only_if_absent=request.only_if_absent,
    )


@_answers(CreateUpload)
async def _create_upload(asked: Asked, request: CreateUpload) -> UploadBegun:
    return await create_upload(
        asked.lane,
        asked.target,
        request.bucket,
        request.key,
        request.options,
        algorithm=request.algorithm,
        token=request.token,
    )


@_answers(ListParts)
async def _list_parts(asked: Asked, request: ListParts) -> PartsPage:
    return await list_parts(asked.lane, asked.target, request.bucket, request.key, request.upload_id, request.marker)


@_answers(CompleteUpload)
async def _complete_upload(asked: Asked, request: CompleteUpload) -> Stored:
    return await complete_upload(
        asked.lane,
        asked.target,
        request.bucket,
        request.key,
        request.upload_id,
        asked.memory(list[UploadedPart]),
        size_bytes=request.size_bytes,
        algorithm=request.algorithm,
        checksum=request.checksum,
    )


@_answers(AbortUpload)
async def _abort_upload(asked: Asked, request: AbortUpload) -> None:
    await abort_upload(asked.lane, asked.target, request.bucket, request.key, request.upload_id)


@_answers(ListUploads)
async def _list_uploads(asked: Asked, request: ListUploads) -> UploadsPage:
    return await list_uploads(
        asked.lane, asked.target, request.bucket, request.prefix, request.key_marker, request.id_marker
    )


@_answers(CopyPart)
async def _copy_part(asked: Asked, request: CopyPart) -> UploadedPart:
    return await copy_part(
        asked.lane,
        asked.target,
        request.key,
        request.upload_id,
        request.number,
        request.source,
        start=request.start,
        end=request.end,
    )


@_answers(CopyObject)
async def _copy_object(asked: Asked, request: CopyObject) -> Stored:
    return await copy_object(
        asked.lane,
        asked.target,
        request.key,
        request.source,
        options=request.options,
        storage_class=request.storage_class,
        website_redirect=request.website_redirect,
    )


@_answers(Delete)
async def _delete(asked: Asked, request: Delete) -> str:
    return await delete_object(asked.lane, asked.target, request.bucket, request.key, request.version_id, request.etag)


@_answers(DeleteMany)
async def _delete_many(asked: Asked, request: DeleteMany) -> tuple[NotDeleted, ...]:
    return await delete_objects(asked.lane, asked.target, request.bucket, asked.memory(list[Doomed]))


@_answers(ListVersions)
async def _list_versions(asked: Asked, request: ListVersions) -> VersionsPage:
    return await list_versions(
        asked.lane, asked.target, request.bucket, request.prefix, request.key_marker, request.version_marker
    )


@_answers(Tags)
async def _tags(asked: Asked, request: Tags) -> dict[str, str]:
    return await object_tags(asked.lane, asked.target, request.bucket, request.key, request.version_id)


@_answers(Restore)
async def _restore(asked: Asked, request: Restore) -> RestoreAnswer:
    bucket, key, version_id = request.bucket, request.key, request.version_id
    return await restore_object(asked.lane, asked.target, bucket, key, version_id, days=request.days, tier=request.tier)


@_answers(Presign)
async def _presign(asked: Asked, request: Presign) -> str:
    method, content_type = request.method, request.content_type
    bucket, key, version_id, ttl_s = request.bucket, request.key, request.version_id, request.ttl_s
    return presign(asked.lane, asked.target, bucket, key, version_id, ttl_s, method=method, content_type=content_type)


@_answers(SetTags)
async def _set_tags(asked: Asked, request: SetTags) -> None:
    bucket, key, version_id = request.bucket, request.key, request.version_id
    await set_object_tags(asked.lane, asked.target, bucket, key, version_id, request.tags)


@_answers(CreateBucket)
async def _create_bucket(asked: Asked, request: CreateBucket) -> None:
    await create_bucket(asked.lane, asked.target, request.bucket, request.region)


@_answers(DeleteBucket)
async def _delete_bucket(asked: Asked, request: DeleteBucket) -> None:
    await delete_bucket(asked.lane, asked.target, request.bucket)


@_answers(BucketRegion)
async def _bucket_region(asked: Asked, request: BucketRegion) -> str:
    return await bucket_region(asked.lane, asked.target, request.bucket)
