"""The operations of the wire, each by whichever client it is given: the SDK's, or the lane's.

So that one test holds for both: ``canned`` makes the client of the way that is being tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from bulkhaul.model.archives import RestoreAnswer
from bulkhaul.model.objects import ObjectHead
from bulkhaul.model.writing import (
    BucketsPage,
    CopySource,
    Doomed,
    NotDeleted,
    ObjectOptions,
    ObjectsPage,
    PartsPage,
    Stored,
    UploadBegun,
    UploadedPart,
    UploadsPage,
    VersionsPage,
)
from bulkhaul.wire.lane import (
    buckets as lane_buckets,
)
from bulkhaul.wire.lane import (
    copy_object as lane_copy,
)
from bulkhaul.wire.lane import (
    delete_objects as lane_delete,
)
from bulkhaul.wire.lane import (
    head_object as lane_head,
)
from bulkhaul.wire.lane import (
    list_objects as lane_list,
)
from bulkhaul.wire.lane import (
    list_versions as lane_versions,
)
from bulkhaul.wire.lane import (
    multipart_upload as lane_multipart,
)
from bulkhaul.wire.lane import (
    object_tags as lane_tags,
)
from bulkhaul.wire.lane import (
    presigned_url as lane_presign,
)
from bulkhaul.wire.lane import (
    put_small as lane_put,
)
from bulkhaul.wire.lane import (
    restore_object as lane_restore,
)
from bulkhaul.wire.sdk import (
    buckets,
    multipart_upload,
    presigned_url,
)
from bulkhaul.wire.sdk import copy_object as sdk_copy
from bulkhaul.wire.sdk import (
    delete_objects as sdk_delete,
)
from bulkhaul.wire.sdk import (
    head_object as sdk_head,
)
from bulkhaul.wire.sdk import (
    list_objects as sdk_list,
)
from bulkhaul.wire.sdk import (
    list_versions as sdk_versions,
)
from bulkhaul.wire.sdk import (
    object_tags as sdk_tags,
)
from bulkhaul.wire.sdk import (
    put_small as sdk_put,
)
from bulkhaul.wire.sdk import (
    restore_object as sdk_restore,
)
from bulkhaul.wire.sdk.client import SdkClient
from tests.unit.canned import Canned as CannedSdk
from tests.unit.canned_lane import CannedLane, LaneClient

Client = SdkClient | LaneClient


def head_object(client: Client, bucket: str, key: str, version_id: str = "") -> ObjectHead:
    """HEAD of an object."""
    if isinstance(client, SdkClient):
        return sdk_head.head_object(client, bucket, key, version_id)
    return client.run(lane_head.ask_head(client.lane, client.at(bucket), bucket, key, version_id))  # type: ignore[no-any-return]


def list_page(
    client: Client, bucket: str, prefix: str, token: str, max_keys: int | None = None, **more: Any
) -> ObjectsPage:
    """One page of a prefix."""
    if isinstance(client, SdkClient):
        return sdk_list.list_page(client, bucket, prefix, token, max_keys, **more)
    work = lane_list.ask_page(client.lane, client.at(bucket), bucket, prefix, token, max_keys=max_keys or 0, **more)
    return client.run(work)  # type: ignore[no-any-return]


def list_folder(client: Client, bucket: str, prefix: str, token: str) -> ObjectsPage:
    """One page of a folder."""
    if isinstance(client, SdkClient):
        return sdk_list.list_folder(client, bucket, prefix, token)
    return client.run(lane_list.ask_page(client.lane, client.at(bucket), bucket, prefix, token, folder=True))  # type: ignore[no-any-return]


def list_versions(client: Client, *arguments: str) -> VersionsPage:
    """One page of versions."""
    if isinstance(client, SdkClient):
        return sdk_versions.list_versions(client, *arguments)
    return client.run(lane_versions.list_versions(client.lane, client.at(arguments[0]), *arguments))  # type: ignore[no-any-return]


def put_small(client: Client, bucket: str, key: str, body: bytes, **more: Any) -> Stored:
    """PUT of a few bytes."""
    if isinstance(client, SdkClient):
        return sdk_put.put_small(client, bucket, key, body, **more)
    return client.run(lane_put.put_small(client.lane, client.at(bucket), bucket, key, body, **more))  # type: ignore[no-any-return]


def delete_object(client: Client, bucket: str, key: str, version_id: str, etag: str = "") -> None:
    """Delete one key."""
    if isinstance(client, SdkClient):
        sdk_delete.delete_object(client, bucket, key, version_id, etag)
    else:
        client.run(lane_delete.delete_object(client.lane, client.at(bucket), bucket, key, version_id, etag))


def delete_objects(client: Client, bucket: str, doomed: Sequence[Doomed]) -> tuple[NotDeleted, ...]:
    """Delete many keys."""
    if isinstance(client, SdkClient):
        return sdk_delete.delete_objects(client, bucket, doomed)
    return client.run(lane_delete.delete_objects(client.lane, client.at(bucket), bucket, doomed))  # type: ignore[no-any-return]


def create_upload(client: Client, bucket: str, key: str, options: ObjectOptions, **more: Any) -> UploadBegun:
    """Begin an upload."""
    if isinstance(client, SdkClient):
        return multipart_upload.create_upload(client, bucket, key, options, **more)
    return client.run(lane_multipart.create_upload(client.lane, client.at(bucket), bucket, key, options, **more))  # type: ignore[no-any-return]


def list_parts(client: Client, bucket: str, key: str, upload_id: str, marker: int) -> PartsPage:
    """One page of parts."""
    if isinstance(client, SdkClient):
        return multipart_upload.list_parts(client, bucket, key, upload_id, marker)
    return client.run(lane_multipart.list_parts(client.lane, client.at(bucket), bucket, key, upload_id, marker))  # type: ignore[no-any-return]


def complete_upload(
    client: Client, bucket: str, key: str, upload_id: str, parts: Sequence[UploadedPart], **more: Any
) -> Stored:
    """Complete an upload."""
    if isinstance(client, SdkClient):
        return multipart_upload.complete_upload(client, bucket, key, upload_id, parts, **more)
    work = lane_multipart.complete_upload(client.lane, client.at(bucket), bucket, key, upload_id, parts, **more)
    return client.run(work)  # type: ignore[no-any-return]


def abort_upload(client: Client, bucket: str, key: str, upload_id: str) -> None:
    """Abort an upload."""
    if isinstance(client, SdkClient):
        multipart_upload.abort_upload(client, bucket, key, upload_id)
    else:
        client.run(lane_multipart.abort_upload(client.lane, client.at(bucket), bucket, key, upload_id))


def list_uploads(client: Client, *arguments: str) -> UploadsPage:
    """One page of pending uploads."""
    if isinstance(client, SdkClient):
        return multipart_upload.list_uploads(client, *arguments)
    return client.run(lane_multipart.list_uploads(client.lane, client.at(arguments[0]), *arguments))  # type: ignore[no-any-return]


def copy_object(client: Client, bucket: str, key: str, source: CopySource, **more: Any) -> Stored:
    """Copy an object."""
    if isinstance(client, SdkClient):
        return sdk_copy.copy_object(client, bucket, key, source, **more)
    return client.run(lane_copy.copy_object(client.lane, client.at(bucket), key, source, **more))  # type: ignore[no-any-return]


def copy_part(
    client: Client, bucket: str, key: str, upload_id: str, number: int, source: CopySource, **more: Any
) -> UploadedPart:
    """Copy a part."""
    if isinstance(client, SdkClient):
        return sdk_copy.copy_part(client, bucket, key, upload_id, number, source, **more)
    return client.run(lane_copy.copy_part(client.lane, client.at(bucket), key, upload_id, number, source, **more))  # type: ignore[no-any-return]


def object_tags(client: Client, bucket: str, key: str, version_id: str) -> dict[str, str]:
    """Read the tags of an object."""
    if isinstance(client, SdkClient):
        return sdk_tags.object_tags(client, bucket, key, version_id)
    return client.run(lane_tags.object_tags(client.lane, client.at(bucket), bucket, key, version_id))  # type: ignore[no-any-return]


def restore_object(client: Client, bucket: str, key: str, version_id: str = "", **more: Any) -> RestoreAnswer:
    """Have an object brought back."""
    if isinstance(client, SdkClient):
        return sdk_restore.restore_object(client, bucket, key, version_id, **more)
    return client.run(lane_restore.restore_object(client.lane, client.at(bucket), bucket, key, version_id, **more))  # type: ignore[no-any-return]


def presign(client: Client, bucket: str, key: str, version_id: str, ttl_s: int, **more: Any) -> str:
    """Make a presigned URL."""
    if isinstance(client, SdkClient):
        return presigned_url.presign(client, bucket, key, version_id, ttl_s, **more)
    return lane_presign.presign(client.lane, client.at(bucket), bucket, key, version_id, ttl_s, **more)


def set_object_tags(client: Client, bucket: str, key: str, version_id: str, tags: dict[str, str]) -> None:
    """Set the tags of an object."""
    if isinstance(client, SdkClient):
        return sdk_tags.set_object_tags(client, bucket, key, version_id, tags)
    return client.run(lane_tags.set_object_tags(client.lane, client.at(bucket), bucket, key, version_id, tags))  # type: ignore[no-any-return]


def create_bucket(client: Client, bucket: str, region: str) -> None:
    """Make a bucket."""
    if isinstance(client, SdkClient):
        return buckets.create_bucket(client, bucket, region)
    return client.run(lane_buckets.create_bucket(client.lane, client.at(bucket), bucket, region))  # type: ignore[no-any-return]


def delete_bucket(client: Client, bucket: str) -> None:
    """Remove a bucket."""
    if isinstance(client, SdkClient):
        return buckets.delete_bucket(client, bucket)
    return client.run(lane_buckets.delete_bucket(client.lane, client.at(bucket), bucket))  # type: ignore[no-any-return]


def list_buckets(client: Client, token: str) -> BucketsPage:
    """One page of buckets."""
    if isinstance(client, SdkClient):
        return buckets.list_buckets(client, token)
    return client.run(lane_buckets.list_buckets(client.lane, client.at(""), token))  # type: ignore[no-any-return]


def bucket_region(client: Client, bucket: str) -> str:
    """Tell the region of a bucket."""
    if isinstance(client, SdkClient):
        return buckets.bucket_region(client, bucket)
    return client.run(lane_buckets.bucket_region(client.lane, client.at(bucket), bucket))  # type: ignore[no-any-return]


_chosen: ContextVar[str] = ContextVar("_chosen", default="sdk")


@contextmanager
def the_way(way: str) -> Iterator[None]:
    """In the block, have ``Canned`` make clients of this way: ``sdk`` or ``lane``."""
    before = _chosen.set(way)
    try:
        yield
    finally:
        _chosen.reset(before)


def Canned(*replies: tuple[int, str], **more: Any) -> Any:  # noqa: N802 - it stands for a class
    """Return a canned client of the way that is tested."""
    return (CannedSdk if _chosen.get() == "sdk" else CannedLane)(*replies, **more)
