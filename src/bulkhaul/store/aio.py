"""Keeps the store contract for one bucket of S3, for asyncio programs, by means of the engine.

docs/store.md has the contract, row by row (C1 … C72), and where each row is tested.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import aclosing

import msgspec

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.engine.loop.batches import in_batches
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.engine.loop.threads import in_thread
from bulkhaul.engine.transfers.created import ANOTHER_WRITER
from bulkhaul.model.errors import Conflict, PreconditionFailed
from bulkhaul.model.limits import DEFAULT_PRESIGN_S, MAX_DELETE_BATCH
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import Doomed, ObjectOptions
from bulkhaul.policy.put_options import put_options
from bulkhaul.policy.storerules import check_ttl, keys_of
from bulkhaul.policy.tags import check_tags
from bulkhaul.store.batches import batched
from bulkhaul.store.bucket import StoreOfBucket, bucket_of
from bulkhaul.store.crossing import PinnedSource
from bulkhaul.store.protocol import ObjectStore
from bulkhaul.store.reads import BucketReads


class S3Store(BucketReads):
    """One bucket; ``from_url`` says what becomes of a prefix in its URL (C1).

    Usage::

        async with S3Store.from_url("s3+https://s3.eu-west-1.amazonaws.com/bucket") as store:
            await store.put_bytes("key", b"hello")
            async for info in store.list("k"):
                print(info.key, info.size)

    The engine starts with the first operation and ends with ``close``, and the store with it. A store belongs to the
    event loop of its first operation. A pickled one is made anew from its URL and settings, an SSE-C key among them.
    One with given credentials is pickled only if these are a function of a module.

    Attributes:
        url: what the store was made from.
    """

    async def put_bytes(
        self,
        key: str,
        body: bytes | bytearray | memoryview,
        *,
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store ``body`` in place of what the key had; in parts from the threshold on (C24, C26).

        Raises:
            UsageError: metadata or a disposition that no header can carry (C5).
        """
        ref, stored_as = self.ref(key), put_options(options, content_disposition, metadata)
        result = await (await self._running()).upload_bytes(body, ref, stored_as, progress=progress)
        return self._told(msgspec.structs.replace(result, source="-"))

    async def put_path(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store a regular file as ``put_bytes`` does; it is opened once (C25, C27).

        Raises:
            LocalError: the file cannot be read, or it changed meanwhile: then nothing was stored.
        """
        ref, stored_as = self.ref(key), put_options(options, content_disposition, metadata)
        result = await (await self._running()).upload(path, ref, stored_as, progress=progress)
        return self._told(result)

    async def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        """Create an object unless it exists; of many at once exactly one gets True (C28, C29).

        No call loses against its own retry; see ``AsyncEngine.upload_bytes``.

        Raises:
            Conflict: the service refused with a 409 that is not about another writer, and there is no object.
            TransferError: it cannot be told, or the service refused.
        """
        ref, engine = self.ref(key), await self._running()
        try:
            await engine.upload_bytes(body, ref, put_options(options), only_if_absent=True)
        except PreconditionFailed:
            return False
        except Conflict as error:
            if error.info.service_code != ANOTHER_WRITER:
                raise
            return False
        return True

    async def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object inside the bucket, on the server; metadata and content headers come along (C30 to C35).

        Raises:
            NotFound: there is no such object; names the source.
            PreconditionFailed: the source was overwritten meanwhile.
        """
        source, destination = self.ref(source_key), self.ref(destination_key)
        return self._told(await (await self._running()).copy(source, destination))

    async def copy_of(self, source: ObjectRef, destination_key: str) -> TransferResult:
        """Copy an object of any bucket of the service; see ``copy``."""
        destination = self.ref(destination_key)
        return self._told(await (await self._running()).copy(source, destination))

    async def copy_from(
        self, source: StoreOfBucket | ObjectStore | str, source_key: str, destination_key: str
    ) -> TransferResult:
        """Copy an object of another store into this one; see ``ObjectStore.copy_from``.

        From another service, a store for asyncio keeps tags, too. Blocking stores are read in a thread.

        Raises:
            NotFound: there is no such object; names the source.
            PreconditionFailed: the source was overwritten meanwhile; nothing was stored.
            UsageError: the URL names no bucket.
        """
        ref = self.ref(destination_key)
        engine = await self._running()
        if isinstance(source, str):
            return await self.copy_of(ObjectRef(bucket_of(source), source_key), destination_key)
        if isinstance(source, StoreOfBucket):
            origin = None if self.same_service(source) else await source._running()
            return self._told(await engine.copy(source.ref(source_key), ref, origin=origin))
        return self._told(await self._streamed(engine, source, source_key, ref))

    async def _streamed(self, engine: AsyncEngine, source: ObjectStore, key: str, ref: ObjectRef) -> TransferResult:
        reader = await in_thread(PinnedSource, source, key)
        try:
            result = await engine.upload_stream(reader, ref, reader.options)  # type: ignore[arg-type] # reads as one
        finally:
            await undisturbed(in_thread(reader.close))
        return msgspec.structs.replace(result, source=reader.name)

    async def delete(self, key: str, *, version_id: str = "") -> None:
        """Remove one object (C36), or one version of it for good; that the version is not there is no error.

        Raises:
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        engine = await self._running()
        if not version_id:
            await engine.head(ref)
        await engine.delete(ref, version_id=version_id)

    async def delete_many(self, keys: Iterable[str] | AsyncIterable[str]) -> AsyncGenerator[TransferResult, None]:
        """Remove objects, 1,000 by a request, and yield one outcome a key, in the order of the keys.

        A key that has no object is removed, so this can be repeated. Nothing is removed before the first outcome is
        taken. What one key is refused for is in its outcome.

        Raises:
            UsageError: a key is none; what came before its request is removed.
            TransferError: a request was refused as a whole.
        """
        if isinstance(keys, AsyncIterable):
            async with aclosing(in_batches(keys, MAX_DELETE_BATCH)) as batches:
                async for batch in batches:
                    for result in await self.delete_together(batch):
                        yield result
            return
        for some in batched(keys_of(keys), MAX_DELETE_BATCH):
            for result in await self.delete_together(some):
                yield result

    async def delete_together(self, keys: Sequence[str]) -> Sequence[TransferResult]:
        """Remove up to 1,000 objects by one request, and return one outcome a key; see ``delete_many``.

        Raises:
            UsageError: a key is none, and nothing was removed.
            TransferError: the request was refused as a whole.
        """
        refs = [self.ref(key) for key in keys]
        if not refs:
            return []
        control = (await self._running()).control
        results = await control.delete_together(self.url.bucket, [Doomed(ref.key) for ref in refs])
        return [self._told(result) for result in results]

    async def set_tags(self, key: str, tags: Mapping[str, str], *, version_id: str = "") -> None:
        """Give one object these tags instead of all that it has.

        Raises:
            UsageError: S3 has no such tags: more than 10, or too long.
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        check_tags(tags, ref.url)
        await (await self._running()).set_tags(ref, tags, version_id=version_id)

    async def delete_tags(self, key: str, *, version_id: str = "") -> None:
        """Take all tags from one object; that it has none is no error.

        Raises:
            NotFound: there is no such object.
        """
        ref = self.ref(key)
        await (await self._running()).delete_tags(ref, version_id=version_id)

    async def presigned_get_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, version_id: str = "") -> str:
        """Return a URL that anyone can fetch the object with, for ``ttl_s`` seconds (an hour): a secret (C37).

        Raises:
            OtherError: the time is not 1 to 604800 whole seconds, or there are no credentials.
        """
        check_ttl(ttl_s)
        ref = self.ref(key)
        return await (await self._running()).presigned_get_url(ref, ttl_s, version_id=version_id)

    async def presigned_put_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, content_type: str = "") -> str:
        """Return a URL that anyone can store the object with by one PUT, for ``ttl_s`` seconds; a secret.

        Args:
            content_type: that the PUT must come with; empty for any.

        Raises:
            OtherError: the time is not 1 to 604800 whole seconds, or there are no credentials.
        """
        check_ttl(ttl_s)
        ref = self.ref(key)
        return await (await self._running()).presigned_put_url(ref, ttl_s, content_type=content_type)
