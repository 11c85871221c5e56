"""The small operations of a store: look, list, delete, sign, clean up; it must not move an object's bytes to disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncGenerator, AsyncIterable, Sequence

import msgspec

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.memory import memory_of, new_memory, read_all
from bulkhaul.engine.messages.messages import (
    BucketRegion,
    CreateUpload,
    Delete,
    DeleteMany,
    Head,
    ListBuckets,
    ListPage,
    ListUploads,
    ListVersions,
    PartChecksums,
    Presign,
    PutSmall,
    Read,
    Tags,
)
from bulkhaul.engine.operations.abort_upload import abort_until_gone
from bulkhaul.engine.operations.list_pages import listed_pages, marked_pages, require_news
from bulkhaul.engine.pool.requests import Desk
from bulkhaul.model.errors import ErrorInfo, OtherError, UsageError
from bulkhaul.model.limits import MAX_DELETE_BATCH, MIB
from bulkhaul.model.objects import Bucket, ObjectHead, ObjectRef, PartChecksum
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import Doomed, NotDeleted, ObjectOptions, ObjectVersion, PendingUpload, Stored
from bulkhaul.wire.classify import service_error
from bulkhaul.wire.values import RemoteObject, Target


class Control:
    """Asks the service, through the workers' boto3 clients."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def head(self, ref: ObjectRef, version_id: str = "") -> ObjectHead:
        """Return what the service knows of one object.

        Raises:
            NotFound: there is no such object.
        """
        return (await self.look(ref, version_id)).head

    async def look(self, ref: ObjectRef, version_id: str = "") -> RemoteObject:
        """Return what the service knows of one object, and where it is.

        Raises:
            NotFound: there is no such object.
        """
        reply = await self._desk.ask(Head(ref.bucket, ref.key, version_id), ref.url)
        if not reply.objects or reply.target is None:
            raise OtherError("HEAD brought no answer", ref.url)
        return RemoteObject(ref, reply.objects[0], reply.target, version_id)

    async def part_checksums(self, remote: RemoteObject) -> tuple[PartChecksum, ...]:
        """Return the parts that an object was uploaded in, with their checksums.

        Raises:
            TransferError: the service refused.
        """
        question = PartChecksums(remote.ref.bucket, remote.head, remote.version_id)
        return tuple((await self._desk.ask(question, remote.ref.url)).parts)

    async def buckets(self) -> AsyncGenerator[list[Bucket], None]:
        """Yield the pages of the list of the caller's buckets.

        Raises:
            AccessDenied: the credentials may not list them.
        """
        token, seen = "", set[int]()
        while True:
            reply = await self._desk.ask(ListBuckets(token), "s3://")
            yield reply.buckets
            if not reply.markers:
                return
            token = reply.markers[0]
            require_news((token,), seen, "s3://")

    async def pages(
        self, bucket: str, prefix: str, *, max_keys: int = 0, ahead: bool = False
    ) -> AsyncGenerator[list[ObjectHead], None]:
        """Yield the pages of a listing of everything whose key begins with ``prefix``, in the service's order.

        Args:
            ahead: ask for the next page as soon as the service has told where it begins: before the last one has been
                read, and while the caller has it in hand. At most two pages are under way.

        Raises:
            NotFound: there is no such bucket.
            OtherError: the listing would never end.
            UnexpectedReply: the service lists what does not begin with the prefix.
        """
        listing = listed_pages(self._desk, bucket, prefix, folder=False, max_keys=max_keys, ahead=ahead)
        async with contextlib.aclosing(listing) as pages:
            async for objects, _ in pages:
                yield objects

    async def folder(self, bucket: str, prefix: str) -> AsyncGenerator[tuple[list[ObjectHead], list[str]], None]:
        """Yield the pages of one folder: the objects in it, and the prefixes of the folders in it.

        Raises:
            NotFound: there is no such bucket.
        """
        async for page in listed_pages(self._desk, bucket, prefix, folder=True, max_keys=0, ahead=False):
            yield page

    async def probe(self, bucket: str, prefix: str = "") -> None:
        """List one key, to see whether the bucket can be reached and read.

        Raises:
            TransferError: it cannot.
        """
        await self._desk.ask(ListPage(bucket, prefix, "", max_keys=1), f"s3://{bucket}/{prefix}")

    async def versions(self, bucket: str, prefix: str) -> AsyncGenerator[list[ObjectVersion], None]:
        """Yield the pages of a listing of versions and delete markers.

        Raises:
            TransferError: the listing failed.
        """
        async with contextlib.aclosing(marked_pages(self._desk, ListVersions, bucket, prefix)) as pages:
            async for reply in pages:
                yield reply.versions

    async def read(self, ref: ObjectRef, start: int = 0, end: int = -1) -> bytes:
        """Return an object, or ``[start, end)`` of it, by one unconditional GET.

        Raises:
            RangeNotSatisfiable: the object does not hold the whole range.
            NetworkError: the body broke off, however often it was tried.
            IntegrityError: the bytes are not those that the stored checksum promises.
        """
        subject = ref.url if end < 0 else f"{ref.url} bytes [{start}, {end})"
        question = Read(await self._desk.target(ref.bucket), ref.bucket, ref.key, start, end)
        fd = new_memory()
        try:
            await self._desk.ask(question, subject, payload_fd=fd)
            # A large object is copied in a thread: the loop has others to serve meanwhile.
            small = os.fstat(fd).st_size <= MIB
            return read_all(fd) if small else await undisturbed(in_thread(read_all, fd))
        finally:
            os.close(fd)

    async def delete(self, ref: ObjectRef, version_id: str = "") -> None:
        """Delete one object, or one version of it; what is not there is no error.

        Raises:
            TransferError: the service refused.
        """
        await self._desk.ask(Delete(ref.bucket, ref.key, version_id), ref.url)

    async def delete_many(self, bucket: str, doomed: AsyncIterable[Doomed]) -> AsyncGenerator[TransferResult, None]:
        """Delete in batches of 1,000 and yield each key's outcome.

        Raises:
            TransferError: a whole batch failed.
        """
        batch: list[Doomed] = []
        async for one in doomed:
            batch.append(one)
            if len(batch) == MAX_DELETE_BATCH:
                for result in await self._delete_batch(bucket, batch):
                    yield result
                batch = []
        if batch:
            for result in await self._delete_batch(bucket, batch):
                yield result

    async def presign(self, ref: ObjectRef, ttl_s: int, version_id: str = "") -> str:
        """Return a URL that fetches the object without credentials for ``ttl_s`` seconds; it is a secret.

        Raises:
            CredentialsError: there are no credentials to sign with.
        """
        return (await self._desk.ask(Presign(ref.bucket, ref.key, ttl_s, version_id), ref.url)).text

    async def tags(self, ref: ObjectRef, version_id: str = "") -> dict[str, str]:
        """Return an object's tags.

        Raises:
            TransferError: the service refused.
        """
        return (await self._desk.ask(Tags(ref.bucket, ref.key, version_id), ref.url)).tags

    async def region(self, bucket: str) -> str:
        """Return the bucket's region, as the service says; empty where it does not.

        Raises:
            TransferError: the service refused.
        """
        return (await self._desk.ask(BucketRegion(bucket), f"s3://{bucket}")).text

    async def pending_uploads(self, bucket: str, prefix: str = "") -> AsyncGenerator[list[PendingUpload], None]:
        """Yield the pages of a listing of uploads that were neither completed nor aborted.

        Raises:
            TransferError: the listing failed.
        """
        async with contextlib.aclosing(marked_pages(self._desk, ListUploads, bucket, prefix)) as pages:
            async for reply in pages:
                yield reply.uploads

    async def put_small(
        self, ref: ObjectRef, body: bytes, *, algorithm: str = "", checksum: str = "", only_if_absent: bool = False
    ) -> Stored:
        """Store a few bytes with a checksum that is sent as it is, right or wrong.

        Raises:
            PreconditionFailed: the object exists, and was not to.
            TransferError: the service refused.
        """
        question = PutSmall(ref.bucket, ref.key, body, algorithm, checksum, only_if_absent)
        reply = await self._desk.ask(question, ref.url)
        assert reply.stored is not None
        return reply.stored

    async def begin_upload(self, ref: ObjectRef) -> str:
        """Begin a multipart upload that no journal names, and return its id; the caller aborts it.

        Raises:
            TransferError: the service refused.
        """
        reply = await self._desk.ask(CreateUpload(ref.bucket, ref.key, ObjectOptions(), "", ""), ref.url)
        assert reply.begun is not None
        return reply.begun.upload_id

    async def target(self, bucket: str) -> Target:
        """Return where requests for a bucket go.

        Raises:
            TransferError: no request could be made at all.
        """
        return await self._desk.target(bucket)

    @property
    def access_key(self) -> str:
        """The id of the key that requests are signed with, empty before the first answer or without one."""
        credentials = self._desk.credentials
        return credentials.access_key if credentials else ""

    async def abort_upload(self, ref: ObjectRef, upload_id: str, *, listable: bool = True) -> bool:
        """Give a pending upload up; whether nothing is left of it.

        Args:
            listable: what is pending may be listed, as far as anybody knows; else what the service confirms counts.

        Raises:
            TransferError: the service refused.
        """
        aborted = await abort_until_gone(self._desk, ref, upload_id, listable=listable)
        if aborted.unseen is not None:
            raise aborted.unseen
        return aborted.gone

    async def _delete_batch(self, bucket: str, batch: Sequence[Doomed]) -> list[TransferResult]:
        try:
            fd = memory_of(msgspec.msgpack.encode(batch))
        except UnicodeEncodeError as error:
            raise UsageError("a key to delete is not valid UTF-8", f"s3://{bucket}", str(error)) from error
        try:
            reply = await self._desk.ask(DeleteMany(bucket), f"s3://{bucket}", payload_fd=fd)
        finally:
            os.close(fd)
        refused = {(one.key, one.version_id): one for one in reply.not_deleted}
        return [_removed(bucket, one, refused.get((one.key, one.version_id))) for one in batch]


def _removed(bucket: str, doomed: Doomed, refused: NotDeleted | None) -> TransferResult:
    ref = ObjectRef(bucket, doomed.key)
    failure: ErrorInfo | None = None
    if refused is not None and refused.unconfirmed:
        text = "the service did not confirm that it was deleted; look with `bulkhaul ls`, and delete it again"
        failure = ErrorInfo("UnexpectedReply", text, ref.url, refused.message)
    elif refused is not None:
        failure = service_error(
            0, service_code=refused.service_code, detail=refused.message, headers={}, subject=ref.url
        )
    return TransferResult(
        source=ref.url,
        destination="",
        bucket=bucket,
        key=doomed.key,
        version_id=doomed.version_id,
        failure=failure,
    )
