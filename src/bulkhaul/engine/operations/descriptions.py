"""Asks a service what no listing and no HEAD tells of an object or a bucket: tags, grants, locks, parts, versioning."""

from __future__ import annotations

from bulkhaul.engine.messages.requests import (
    BucketRegion,
    BucketVersioning,
    GetAcl,
    GetLock,
    PartChecksums,
    SetTags,
    Tags,
)
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.objects import ObjectRef, PartChecksum
from bulkhaul.model.preserving import Acl, ObjectLock
from bulkhaul.model.writing import Versioning
from bulkhaul.wire.values import RemoteObject


class Descriptions:
    """Makes these requests through the workers."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def part_checksums(self, remote: RemoteObject) -> tuple[PartChecksum, ...]:
        """Return the parts that an object was uploaded in, with their checksums.

        Raises:
            TransferError: the service refused.
        """
        request = PartChecksums(remote.ref.bucket, remote.head, remote.version_id)
        return await self._requests.ask(request, remote.ref.url)

    async def tags(self, ref: ObjectRef, version_id: str = "") -> dict[str, str]:
        """Return an object's tags.

        Raises:
            TransferError: the service refused.
        """
        return await self._requests.ask(Tags(ref.bucket, ref.key, version_id), ref.url)

    async def set_tags(self, ref: ObjectRef, tags: dict[str, str], version_id: str = "") -> None:
        """Give an object these tags instead of all that it has; none takes them all away.

        Raises:
            NotFound: there is no such object.
            TransferError: the service refused.
        """
        await self._requests.ask(SetTags(ref.bucket, ref.key, tags, version_id), ref.url)

    async def acl(self, ref: ObjectRef, version_id: str = "") -> Acl:
        """Return who may do what with an object.

        Raises:
            TransferError: the service refused.
        """
        return await self._requests.ask(GetAcl(ref.bucket, ref.key, version_id), ref.url)

    async def lock(self, ref: ObjectRef, version_id: str = "") -> ObjectLock:
        """Return what keeps an object from being deleted; nothing where its bucket has no Object Lock.

        Raises:
            TransferError: the service refused.
        """
        return await self._requests.ask(GetLock(ref.bucket, ref.key, version_id), ref.url)

    async def region(self, bucket: str) -> str:
        """Return the bucket's region, as the service says; empty where it does not.

        Raises:
            TransferError: the service refused.
        """
        return await self._requests.ask(BucketRegion(bucket), f"s3://{bucket}")

    async def versioning(self, bucket: str) -> Versioning:
        """Return whether a bucket keeps versions.

        Raises:
            TransferError: the service refused.
        """
        return await self._requests.ask(BucketVersioning(bucket), f"s3://{bucket}")
