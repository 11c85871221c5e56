"""Makes each small request to a service: HEAD, list, delete, sign; those of multipart uploads stand by themselves."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Sequence

from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.messages.memory import new_memory, read_all
from bulkhaul.engine.messages.requests import (
    CopyObject,
    Delete,
    Head,
    ListBuckets,
    ListPage,
    ListVersions,
    Presign,
    PutSmall,
    Read,
    Restore,
)
from bulkhaul.engine.operations.buckets import Buckets
from bulkhaul.engine.operations.delete_batch import delete_batch, delete_in_batches
from bulkhaul.engine.operations.descriptions import Descriptions
from bulkhaul.engine.operations.list_pages import each_of, listed_pages, marked_pages
from bulkhaul.engine.operations.list_ranges import MOST_PAGES, ranged_pages
from bulkhaul.engine.operations.loads import Loads
from bulkhaul.engine.operations.multipart_uploads import MultipartUploads
from bulkhaul.model.archives import RestoreAnswer, Tier
from bulkhaul.model.limits import MIB
from bulkhaul.model.objects import Bucket, ObjectHead, ObjectRef
from bulkhaul.model.presigning import Method
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import (
    CopySource,
    Doomed,
    ObjectOptions,
    ObjectVersion,
    Stored,
)
from bulkhaul.wire.values import RemoteObject, Target


class Control(Buckets, Descriptions, Loads, MultipartUploads):
    """Makes requests to a service, through the workers. Users, commands and transfers all ask by these methods."""

    async def head(self, ref: ObjectRef, version_id: str = "") -> ObjectHead:
        """Return what the service knows of one object.

        Raises:
            NotFound: there is no such object.
        """
        return await self._requests.ask(Head(ref.bucket, ref.key, version_id), ref.url)

    async def look(self, ref: ObjectRef, version_id: str = "") -> RemoteObject:
        """Return what the service knows of one object, and where it is.

        Raises:
            NotFound: there is no such object.
        """
        head = await self.head(ref, version_id)
        return RemoteObject(ref, head, await self.target(ref.bucket), version_id)

    def buckets(self) -> AsyncGenerator[list[Bucket], None]:
        """Yield the pages of the list of the caller's buckets.

        Raises:
            AccessDenied: the credentials may not list them.
        """
        listing = marked_pages(self._requests, ListBuckets, "", lambda page: page.next_token, "s3://")
        return each_of(listing, lambda page: list(page.buckets))

    def pages(
        self,
        bucket: str,
        prefix: str,
        *,
        max_keys: int = 0,
        ahead: bool = True,
        restores: bool = False,
        most_pages: int = MOST_PAGES,
    ) -> AsyncGenerator[Sequence[ObjectHead], None]:
        """Yield the pages of a listing of everything whose key begins with ``prefix``, in the service's order.

        Args:
            ahead: ask for pages that follow while the caller has one in hand, more of them side by side the longer the
                caller had to wait for them.
            restores: tell the status of archived objects, too (``ObjectHead.restore``), where the endpoint does.
            most_pages: that are asked for or wait for the caller, where they are asked for ahead.

        Raises:
            NotFound: there is no such bucket.
            OtherError: the listing would never end.
            UnexpectedReply: the service lists what does not begin with the prefix.
        """
        if ahead:
            return ranged_pages(
                self._requests, bucket, prefix, max_keys=max_keys, restores=restores, most_pages=most_pages
            )
        return self.pages_after(bucket, prefix, "", max_keys=max_keys, ahead=False, restores=restores)

    def pages_after(
        self, bucket: str, prefix: str, key: str, *, max_keys: int = 0, ahead: bool = True, restores: bool = False
    ) -> AsyncGenerator[Sequence[ObjectHead], None]:
        """Yield the pages after a key, one asked for ahead; whether the service begins there is not looked at."""
        rest = functools.partial(listed_pages, folder=False, max_keys=max_keys, ahead=ahead, restores=restores)
        return each_of(rest(self._requests, bucket, prefix, start_after=key), lambda page: page.objects)

    def folder(self, bucket: str, prefix: str) -> AsyncGenerator[tuple[list[ObjectHead], list[str]], None]:
        """Yield the pages of one folder: the objects in it, and the prefixes of the folders in it.

        Raises:
            NotFound: there is no such bucket.
        """
        listing = listed_pages(self._requests, bucket, prefix, folder=True, max_keys=0, ahead=False)
        return each_of(listing, lambda page: (list(page.objects), list(page.prefixes)))

    async def probe(self, bucket: str, prefix: str = "") -> None:
        """List one key, to see whether the bucket can be reached and read.

        Raises:
            TransferError: it cannot.
        """
        await self._requests.ask(ListPage(bucket, prefix, "", max_keys=1), f"s3://{bucket}/{prefix}")

    def versions(self, bucket: str, prefix: str) -> AsyncGenerator[list[ObjectVersion], None]:
        """Yield the pages of a listing of versions and delete markers.

        Raises:
            TransferError: the listing failed.
        """
        listing = marked_pages(
            self._requests,
            lambda markers: ListVersions(bucket, prefix, *markers),
            ("", ""),
            lambda page: (page.next_key_marker, page.next_version_marker),
            f"s3://{bucket}/{prefix}",
        )
        return each_of(listing, lambda page: list(page.versions))

    async def read(
        self, ref: ObjectRef, start: int = 0, end: int = -1, *, etag: str = "", version_id: str = ""
    ) -> bytes:
        """Return an object, or ``[start, end)`` of it, by one GET.

        Args:
            etag: the object must still have it; empty to read whatever is there.
            version_id: which version; empty for the current one.

        Raises:
            PreconditionFailed: the object has another ETag.
            RangeNotSatisfiable: the object does not hold the whole range.
            NetworkError: the body broke off, however often it was tried.
            IntegrityError: the bytes are not those that the stored checksum promises.
        """
        subject = ref.url if end < 0 else f"{ref.url} bytes [{start}, {end})"
        request = Read(await self._requests.target(ref.bucket), ref.bucket, ref.key, start, end, etag, version_id)
        fd = new_memory()
        try:
            await self._requests.ask(request, subject, memory_fd=fd)
            # A large object is copied in a thread: the loop has others to serve meanwhile.
            small = os.fstat(fd).st_size <= MIB
            return read_all(fd) if small else await undisturbed(in_thread(read_all, fd))
        finally:
            os.close(fd)

    async def delete(
        self,
        ref: ObjectRef,
        version_id: str = "",
        *,
        etag: str = "",
        before_again: Callable[[], Awaitable[None]] | None = None,
    ) -> str:
        """Delete one object, or one version of it; what is not there is no error.

        Returns:
            The version of the delete marker that this has made; empty where none was made or told.

        Args:
            etag: the object must still have it; empty to delete whatever is there. Not every service looks at it.
            before_again: awaited before a try that follows one whose answer was lost; what it raises ends the request.

        Raises:
            PreconditionFailed: the object has another ETag.
            TransferError: the service refused.
        """
        request = Delete(ref.bucket, ref.key, version_id, etag)
        return await self._requests.ask(request, ref.url, before_again=before_again)

    def delete_many(self, bucket: str, doomed: AsyncIterable[Doomed]) -> AsyncGenerator[TransferResult, None]:
        """Delete in batches of 1,000 and yield each key's outcome.

        Raises:
            TransferError: a whole batch failed.
        """
        return delete_in_batches(self._requests, bucket, doomed)

    async def delete_together(
        self, bucket: str, doomed: Sequence[Doomed], *, before_again: Callable[[], Awaitable[None]] | None = None
    ) -> list[TransferResult]:
        """Delete up to 1,000 keys by one request, and return each one's outcome, in their order.

        Args:
            before_again: awaited before a try that follows one whose answer was lost; what it raises ends the request.

        Raises:
            Unsupported: keys with ETags cannot be deleted together here.
            TransferError: the whole batch failed; some keys may be deleted all the same.
        """
        return await delete_batch(self._requests, bucket, doomed, before_again=before_again)

    async def presign(
        self, ref: ObjectRef, ttl_s: int, version_id: str = "", *, method: Method = "GET", content_type: str = ""
    ) -> str:
        """Return a URL for one method and one object, without credentials, for ``ttl_s`` seconds; it is a secret.

        Args:
            content_type: that a PUT must come with, empty for any.

        Raises:
            CredentialsError: there are no credentials to sign with.
        """
        request = Presign(ref.bucket, ref.key, ttl_s, version_id, method, content_type)
        return await self._requests.ask(request, ref.url)

    async def restore(self, ref: ObjectRef, *, tier: Tier, days: int, version_id: str = "") -> RestoreAnswer:
        """Have an archived object brought back; that it comes already, or is there, is an answer and no error.

        Args:
            days: how long the copy stays; 0 for an object of INTELLIGENT_TIERING, which comes back for good.

        Raises:
            Unsupported: the object is in no archive.
            RetrievalUnavailable: there is no capacity for this tier now.
            TransferError: the service refused.
        """
        return await self._requests.ask(Restore(ref.bucket, ref.key, tier, days, version_id), ref.url)

    async def put_small(
        self, ref: ObjectRef, body: bytes, *, algorithm: str = "", checksum: str = "", only_if_absent: bool = False
    ) -> Stored:
        """Store a few bytes with a checksum that is sent as it is, right or wrong.

        Raises:
            PreconditionFailed: the object exists, and was not to.
            TransferError: the service refused.
        """
        request = PutSmall(ref.bucket, ref.key, body, algorithm, checksum, only_if_absent)
        return await self._requests.ask(request, ref.url)

    async def copy_object(
        self,
        ref: ObjectRef,
        source: CopySource,
        options: ObjectOptions | None,
        *,
        storage_class: str = "",
        website_redirect: str = "",
        before_again: Callable[[], Awaitable[None]] | None = None,
    ) -> Stored:
        """Have the service copy a whole object; without options it keeps its own. Errors name the source.

        Args:
            storage_class, website_redirect: of a copy without options; no service copies these along.
            before_again: as for ``delete``.

        Raises:
            TransferError: the service refused.
        """
        request = CopyObject(ref.bucket, ref.key, source, options, storage_class, website_redirect)
        url = ObjectRef(source.bucket, source.key).url
        return await self._requests.ask(request, url, before_again=before_again)

    async def target(self, bucket: str) -> Target:
        """Return where requests for a bucket go.

        Raises:
            TransferError: no request could be made at all.
        """
        return await self._requests.target(bucket)

    @property
    def credentials_source(self) -> str:
        """Where the keys come from that requests are signed with, for people."""
        credentials = self._requests.credentials
        return credentials.source if credentials else ""

    @property
    def access_key(self) -> str:
        """The id of the key that requests are signed with, empty before the first answer or without one."""
        credentials = self._requests.credentials
        return credentials.access_key if credentials else ""
