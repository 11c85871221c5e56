"""Reads what is in one bucket of S3, for asyncio programs: listings, heads, whole objects and ranges of them."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

import msgspec

from bulkhaul.disk.paths import require_file
from bulkhaul.model.errors import NotFound, OtherError
from bulkhaul.model.objects import FolderListing, ObjectHead, ObjectInfo, ObjectRef, VersionInfo
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.policy.described import told_content
from bulkhaul.policy.storerules import asks_for_bytes
from bulkhaul.store.bucket import StoreOfBucket


class BucketReads(StoreOfBucket):
    """The methods of a store that ask and change nothing."""

    async def list(self, prefix: str = "") -> AsyncGenerator[ObjectInfo, None]:
        """Yield every object whose key begins with ``prefix``, character by character (C7, C8, C9).

        Raises:
            NotFound: the bucket does not exist.
            OtherError: an entry without a key or a time.
        """
        below = self._below(prefix)
        engine = await self._running()
        async with aclosing(engine.control.pages(self.url.bucket, below)) as pages:
            async for page in pages:
                for head in page:
                    if self._is_below(head.key):
                        info = self._info(head, f"s3://{self.url.bucket}/{below}")
                        yield msgspec.structs.replace(info, etag=None)

    async def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return what begins with ``prefix`` up to the next slash: objects, and the common prefixes of what is below.

        Raises:
            NotFound: the bucket does not exist.
        """
        below, found = self._below(prefix), FolderListing([], [])
        engine = await self._running()
        async with aclosing(engine.control.folder(self.url.bucket, below)) as pages:
            async for objects, prefixes in pages:
                for head in filter(lambda one: self._is_below(one.key), objects):
                    info = self._info(head, f"s3://{self.url.bucket}/{below}")
                    found.objects.append(msgspec.structs.replace(info, etag=None))
                found.common_prefixes.extend(map(self._key, prefixes))
        return found

    async def head(self, key: str, *, version_id: str = "") -> ObjectInfo:
        """Return what is known of one object (C3, C10).

        Raises:
            NotFound: there is no such object.
            OtherError: the service tells no length or no time.
        """
        ref = self.ref(key)
        return self._info(await (await self._running()).head(ref, version_id=version_id), ref.url)

    async def exists(self, key: str, *, version_id: str = "") -> bool:
        """Return whether there is an object of this key, by HEAD; in a bucket that does not exist there is none.

        Where there is none, a GET may have to tell whether that is the key or the bucket.

        Raises:
            TransferError: it cannot be told.
        """
        ref = self.ref(key)
        try:
            await (await self._running()).head(ref, version_id=version_id)
        except NotFound:
            return False
        return True

    async def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None, version_id: str = ""
    ) -> TransferResult:
        """Download one object to ``path``, which is absent, old, or wholly the new one (C11 to C19).

        Raises:
            NotFound: there is no such object.
            PreconditionFailed: it was overwritten twice meanwhile.
            LocalError: the parent folder does not exist, or refuses.
        """
        ref, file = self.ref(key), require_file(path)
        result = await (await self._running()).download(ref, file, progress=progress, version_id=version_id)
        return self._told(result)

    async def get_bytes(self, key: str, *, version_id: str = "") -> bytes:
        """Return a whole object, by one GET (C20).

        Raises:
            NotFound: there is no such object.
            NetworkError: the body broke off, however often it was tried.
        """
        ref = self.ref(key)
        return await (await self._running()).get_bytes(ref, version_id=version_id)

    async def get_bytes_suffix(self, key: str, length: int, *, version_id: str = "") -> bytes:
        """Return the last ``length`` bytes, all of a shorter object: of the version that a HEAD has found.

        Raises:
            PreconditionFailed: it was overwritten meanwhile.
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        return await (await self._running()).get_bytes_suffix(ref, length, version_id=version_id)

    async def get_ranges(
        self, key: str, spans: Iterable[tuple[int, int]], *, version_id: str = ""
    ) -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges, all of one version.

        Ranges at most 1 MiB apart are read together, up to 16 MiB by a request, and 10 requests are made at once.

        Raises:
            RangeNotSatisfiable: the object cannot fill one of them, or one is none.
            PreconditionFailed: the object was overwritten meanwhile.
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        return await (await self._running()).get_ranges(ref, spans, version_id=version_id)

    async def get_bytes_range(self, key: str, start: int, end: int | None = None, *, version_id: str = "") -> bytes:
        """Return exactly the bytes ``[start, end)``; an empty range is empty without a request (C21 to C23).

        Without an end it is all from ``start`` on, of the version that a HEAD has found.

        Raises:
            RangeNotSatisfiable: the object cannot fill the range, or the range is none.
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        if end is not None and not asks_for_bytes(start, end, ref.url):
            return b""
        return await (await self._running()).get_bytes_range(ref, start, end, version_id=version_id)

    async def get_tags(self, key: str, *, version_id: str = "") -> dict[str, str]:
        """Return the tags of one object.

        Raises:
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        return await (await self._running()).get_tags(ref, version_id=version_id)

    async def list_versions(self, prefix: str = "") -> AsyncGenerator[VersionInfo, None]:
        """Yield every version and delete marker of the objects whose keys begin with ``prefix``.

        Raises:
            NotFound: the bucket does not exist.
        """
        below = self._below(prefix)
        engine = await self._running()
        async with aclosing(engine.control.versions(self.url.bucket, below)) as pages:
            async for page in pages:
                for one in filter(lambda one: self._is_below(one.key), page):
                    yield VersionInfo(
                        self._key(one.key),
                        one.version_id,
                        one.size,
                        one.last_modified,
                        one.etag or None,
                        latest=one.latest,
                        delete_marker=one.delete_marker,
                    )

    async def probe(self, prefix: str = "") -> None:
        """Ask once for at most one key below ``prefix`` (C38).

        Raises:
            TransferError: the bucket cannot be listed.
        """
        below = self._below(prefix)
        await (await self._running()).probe(ObjectRef(self.url.bucket, below))

    def _info(self, head: ObjectHead, subject: str) -> ObjectInfo:
        if not head.last_modified:
            raise OtherError("the service told no Last-Modified", subject)
        content = told_content(head.content)
        return ObjectInfo(
            key=self._key(head.key),
            size=head.size,
            last_modified=head.last_modified,
            etag=head.etag or None,
            metadata=content.metadata,
            version_id=head.version_id,
            content=content,
            checksum=head.checksum,
            storage_class=head.storage_class,
        )

    def _told(self, result: TransferResult) -> TransferResult:
        """Return a result with the key that the caller gave."""
        return msgspec.structs.replace(result, key=self._key(result.key)) if self._above else result
