"""The operations of an engine that move no object to or from disk: look, list, read, delete, sign, clean up."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing

from bulkhaul.engine.operations.abort_upload import parts_left
from bulkhaul.engine.operations.delete_many import Deletion, delete_sources
from bulkhaul.engine.small_reads import SmallReads
from bulkhaul.engine.transfers.endpoints import listed, object_ref
from bulkhaul.model.archives import MAX_DAYS, RestoreAnswer, Tier
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.limits import DEFAULT_PRESIGN_S
from bulkhaul.model.objects import Bucket, ObjectHead, ObjectRef
from bulkhaul.model.presigning import Method
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectVersion, PendingUpload
from bulkhaul.policy.filters import patterns
from bulkhaul.policy.selection import Source, folder_prefix, parse_source, selector
from bulkhaul.policy.storerules import check_presigned, check_ttl
from bulkhaul.policy.tags import check_tags


class SmallOperations(SmallReads):
    """What an engine offers besides transfers.

    An object, or a prefix, is named by its URL or by an ``ObjectRef``, whose key is taken as it is.
    """

    async def head(self, url: str | ObjectRef, *, version_id: str = "") -> ObjectHead:
        """Return what the service knows of one object.

        Raises:
            NotFound: there is no such object.
        """
        return await self.control.head(object_ref(url), version_id)

    async def exists(self, url: str | ObjectRef, *, version_id: str = "") -> bool:
        """Return whether there is such an object, by HEAD; in a bucket that does not exist there is none.

        Where there is none, a GET may have to tell whether that is the key or the bucket.

        Raises:
            TransferError: the service refused, so nobody knows.
        """
        try:
            await self.head(url, version_id=version_id)
        except NotFound:
            return False
        return True

    async def get_tags(self, url: str | ObjectRef, *, version_id: str = "") -> dict[str, str]:
        """Return the tags of one object.

        Raises:
            TransferError: the service refused.
        """
        return await self.control.tags(object_ref(url), version_id)

    async def set_tags(self, url: str | ObjectRef, tags: Mapping[str, str], *, version_id: str = "") -> None:
        """Give one object these tags instead of all that it has.

        Raises:
            UsageError: S3 has no such tags: more than 10, or too long.
            NotFound: there is no such object.
        """
        ref = object_ref(url)
        check_tags(tags, ref.url)
        await self.control.set_tags(ref, dict(tags), version_id)

    async def delete_tags(self, url: str | ObjectRef, *, version_id: str = "") -> None:
        """Take all tags from one object; that it has none is no error.

        Raises:
            NotFound: there is no such object.
        """
        await self.control.set_tags(object_ref(url), {}, version_id)

    async def create_bucket(self, bucket: str, *, region: str = "") -> None:
        """Make a bucket.

        Args:
            bucket: its name.
            region: where; empty for that of the engine.

        Raises:
            Conflict: there is such a bucket, the caller's or somebody else's.
        """
        await self.control.create_bucket(bucket, region)

    async def delete_bucket(self, bucket: str) -> None:
        """Remove a bucket in which nothing is: no object, no version, no delete marker.

        Args:
            bucket: its name.

        Raises:
            Conflict: something is in it.
            NotFound: there is no such bucket.
        """
        await self.control.delete_bucket(bucket)

    async def restore(
        self, url: str | ObjectRef, *, days: int, tier: Tier = Tier.STANDARD, version_id: str = ""
    ) -> RestoreAnswer:
        """Have one archived object brought back; that it comes already, or is there, is an answer and no error.

        It can be read once ``head`` tells until when the copy stays, minutes or hours later.

        Args:
            days: how long the copy stays; 0 for an object of INTELLIGENT_TIERING, which comes back for good.

        Raises:
            UsageError: a negative number of days, or one that no request can carry.
            Unsupported: the object is in no archive.
            RetrievalUnavailable: there is no capacity for this tier now.
            NotFound: there is no such object.
        """
        ref = object_ref(url)
        if type(days) is not int or not 0 <= days <= MAX_DAYS:
            raise UsageError(f"a restored copy cannot stay {days!r} days; give whole days", ref.url)
        return await self.control.restore(ref, tier=Tier(tier), days=days, version_id=version_id)

    async def presigned_get_url(
        self, url: str | ObjectRef, ttl_s: int = DEFAULT_PRESIGN_S, *, version_id: str = ""
    ) -> str:
        """Return a URL that fetches an object without credentials; see ``presigned_url``."""
        return await self.presigned_url(url, ttl_s, version_id=version_id)

    async def presigned_put_url(
        self, url: str | ObjectRef, ttl_s: int = DEFAULT_PRESIGN_S, *, content_type: str = ""
    ) -> str:
        """Return a URL that stores an object without credentials; see ``presigned_url``."""
        return await self.presigned_url(url, ttl_s, method="PUT", content_type=content_type)

    async def presigned_url(
        self,
        url: str | ObjectRef,
        ttl_s: int = DEFAULT_PRESIGN_S,
        *,
        version_id: str = "",
        method: Method = "GET",
        content_type: str = "",
    ) -> str:
        """Return a URL for one method and one object, without credentials, for ``ttl_s`` seconds; it is a secret.

        Args:
            method: GET, HEAD, PUT or DELETE.
            content_type: that a PUT must come with, empty for any.

        Raises:
            OtherError: the time is not 1 to 604800 whole seconds.
            CredentialsError: there are no credentials to sign with.
        """
        check_ttl(ttl_s)
        ref = object_ref(url)
        check_presigned(method, content_type, version_id, ref.url)
        return await self.control.presign(ref, ttl_s, version_id, method=method, content_type=content_type)

    # Listings

    async def buckets(self) -> AsyncGenerator[Bucket, None]:
        """Yield the caller's buckets.

        Raises:
            AccessDenied: the credentials may not list them.
        """
        async with aclosing(self.control.buckets()) as pages:
            async for page in pages:
                for bucket in page:
                    yield bucket

    async def list(self, url: str | ObjectRef) -> AsyncGenerator[ObjectHead, None]:
        """Yield every object whose key begins with the URL's, or matches it if it holds ``*`` or ``?``.

        They come in the service's order, 1,000 a request.

        Raises:
            NotFound: there is no such bucket.
        """
        source = listed(url)
        takes = selector(source)
        async with aclosing(self.control.pages(source.bucket, source.prefix)) as pages:
            async for page in pages:
                for head in page:
                    if takes(head.key):
                        yield head

    async def list_with_delimiter(self, url: str | ObjectRef) -> AsyncGenerator[ObjectHead | str, None]:
        """Yield what lies in one folder: its objects, and the folders in it as prefixes that end in a slash.

        Args:
            url: of the folder, with a slash at its end; of a bucket for what lies in no folder.

        Raises:
            NotFound: there is no such bucket.
        """
        source = listed(url, literal=True)
        async with aclosing(self.control.folder(source.bucket, source.prefix)) as pages:
            async for objects, prefixes in pages:
                for prefix in prefixes:
                    yield prefix
                for head in objects:
                    yield head

    async def list_versions(self, url: str | ObjectRef) -> AsyncGenerator[ObjectVersion, None]:
        """Yield every version and delete marker of the objects that ``list`` would yield, had they not been deleted.

        Raises:
            TransferError: the listing failed.
        """
        source = listed(url)
        takes = selector(source)
        async with aclosing(self.control.versions(source.bucket, source.prefix)) as pages:
            async for page in pages:
                for version in page:
                    if takes(version.key):
                        yield version

    async def probe(self, url: str | ObjectRef) -> None:
        """List at most one key below a prefix, to see whether the bucket can be reached and read.

        Raises:
            TransferError: it cannot.
        """
        source = listed(url, literal=True)
        await self.control.probe(source.bucket, source.prefix)

    async def region(self, bucket: str) -> str:
        """Return the region of a bucket, as the service tells it; empty where it does not.

        Args:
            bucket: its name.

        Raises:
            TransferError: the service refused.
        """
        return await self.control.region(bucket)

    # Deletions

    async def delete(self, url: str | ObjectRef, *, version_id: str = "") -> None:
        """Delete one object, or one version of it; that it is not there is no error.

        Raises:
            TransferError: the service refused.
        """
        await self.control.delete(object_ref(url), version_id)

    def delete_many(
        self,
        urls: Iterable[str | ObjectRef],
        *,
        recursive: bool = False,
        literal: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        all_versions: bool = False,
        version_id: str = "",
        dry_run: bool = False,
    ) -> AsyncGenerator[TransferResult, None]:
        """Delete objects, prefixes and what matches patterns, 1,000 keys a request.

        Args:
            recursive: each URL names everything below it, up to a slash.
            literal: ``*``, ``?`` and a slash at the end of a URL stand for themselves.
            include, exclude: patterns for the path below each prefix, or the last name of one object; of those in
                ``exclude`` one that begins with ``!`` takes back in, and the last one that matches wins.
            all_versions: delete every version and delete marker, for good.
            version_id: delete this version of the only URL, an object, for good.

        Yields:
            One result a key. One that is refused, or a pattern that matches nothing, carries its error; the others go
            on. Of a prefix that nothing lies below there is none.

        Raises:
            UsageError: a URL names a prefix without ``recursive``; a version id goes with more than one object.
        """
        if isinstance(urls, str):
            raise UsageError("URLs are given as a list, also a single one", urls)
        sources = tuple(_doomed(url, recursive=recursive, literal=literal) for url in urls)
        if version_id and (all_versions or len(sources) != 1 or sources[0].many):
            raise UsageError("a version id goes with exactly one object")
        deletion = Deletion(
            sources=sources,
            version_id=version_id,
            all_versions=all_versions,
            include=patterns(include),
            exclude=patterns(exclude),
            dry_run=dry_run,
        )
        return delete_sources(self.control, deletion)

    # Uploads that were begun

    async def pending_uploads(self, url: str | ObjectRef) -> AsyncGenerator[PendingUpload, None]:
        """Yield the uploads below a prefix that were neither completed nor aborted.

        Raises:
            TransferError: the listing failed.
        """
        source = listed(url, literal=True)
        async with aclosing(self.control.pending_uploads(source.bucket, source.prefix)) as pages:
            async for page in pages:
                for upload in page:
                    yield upload

    async def abort_upload(self, url: str | ObjectRef, upload_id: str) -> None:
        """Abort a pending upload until nothing of it is left; one that does not exist is no error.

        Raises:
            OtherError: parts of it are left, however often it was aborted.
            TransferError: the service refused.
        """
        ref = object_ref(url)
        if not await self.control.abort_upload(ref, upload_id):
            raise parts_left(ref.url)


def _doomed(url: str | ObjectRef, *, recursive: bool, literal: bool) -> Source:
    if isinstance(url, ObjectRef):
        if recursive:
            prefix = folder_prefix(listed(url).prefix)
            return Source(url.bucket, prefix=prefix, base=prefix, many=True)
        ref = object_ref(url)
        return Source(ref.bucket, key=ref.key)
    return parse_source(url, recursive=recursive, literal=literal, marker=literal)
