"""Makes and removes buckets; what an earlier try has done already, whose answer was lost, is no error.

Not every service refuses to remove a bucket in which something is (SeaweedFS removes all of it), so one is looked into
before it is removed.
"""

from __future__ import annotations

from bulkhaul.engine.messages.requests import CreateBucket, DeleteBucket, ListPage, ListVersions
from bulkhaul.engine.pool.requests import Requests
from bulkhaul.model.errors import NOT_EMPTY, Conflict, NotFound, Unsupported, UsageError
from bulkhaul.policy.addressing import VALID_BUCKET


class Buckets:
    """Makes these requests through the workers."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def create_bucket(self, bucket: str, region: str = "") -> None:
        """Make a bucket; without a region in that of the endpoint.

        Raises:
            UsageError: it can be no bucket's name.
            Conflict: there is such a bucket, the caller's or somebody else's.
            TransferError: the service refused.
        """
        _require_name(bucket)
        lost: list[bool] = []
        try:
            request = CreateBucket(bucket, region)
            await self._requests.ask(request, f"s3://{bucket}", on_doubt=lambda: lost.append(True))
        except Conflict as error:
            if not lost or error.info.service_code != "BucketAlreadyOwnedByYou":
                raise

    async def delete_bucket(self, bucket: str) -> None:
        """Remove a bucket in which nothing is: no object, no version, no delete marker.

        What somebody stores between the look and the removal only the service can see.

        Raises:
            UsageError: it can be no bucket's name.
            Conflict: something is in it.
            NotFound: there is no such bucket.
            TransferError: the service refused.
        """
        _require_name(bucket)
        url = f"s3://{bucket}"
        if (await self._requests.ask(ListPage(bucket, "", "", max_keys=1), url)).objects or await self._history(bucket):
            raise Conflict(NOT_EMPTY, url)
        lost: list[bool] = []
        try:
            await self._requests.ask(DeleteBucket(bucket), url, on_doubt=lambda: lost.append(True))
        except NotFound:
            if not lost:
                raise

    async def _history(self, bucket: str) -> bool:
        """Whether there are versions or delete markers; not where the service lists none."""
        try:
            return bool((await self._requests.ask(ListVersions(bucket, ""), f"s3://{bucket}")).versions)
        except Unsupported:
            return False


def _require_name(bucket: str) -> None:
    if not VALID_BUCKET.fullmatch(bucket):
        raise UsageError(f"{bucket!r} is no name of a bucket: letters, digits, '.', '-' and '_', at most 255")
