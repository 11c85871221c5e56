"""Opens a store of S3 for asyncio programs, makes objects of its keys, and starts its engine with the first request."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings
from bulkhaul.policy.storerules import check_key, check_prefix
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store.made_from_url import MadeFromUrl
from bulkhaul.store.opening import PrefixUse
from bulkhaul.store.protocol import CLOSED


class StoreOfBucket(MadeFromUrl[AsyncEngine]):
    """One bucket, its keys, and the engine that serves it."""

    def __init__(
        self,
        url: StoreUrl,
        settings: Settings,
        *,
        engine: AsyncEngine | None = None,
        credentials: CredentialsSource | None = None,
        prefix: PrefixUse = "carry",
    ) -> None:
        """Take what ``from_url`` makes; an ``engine`` runs already, has its own settings, and outlives this store."""
        given = credentials if engine is None else engine.credentials
        super().__init__(url, settings, engine=engine, credentials=given, prefix=prefix)
        self._engine = engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the engine and all operations under way. Safe to call twice.

        Raises:
            UsageError: the engine runs on another event loop.
        """
        self._require_loop()
        self._closed = True
        engine, self._engine = self._engine, None
        if engine is not None and engine is not self._shared:
            try:
                await engine.close()
            except BaseException:
                self._engine = engine  # it may be running: closing again goes on
                raise

    def same_service(self, other: StoreOfBucket) -> bool:
        """Whether a request to this store's service can name an object of the other's bucket."""
        if self._engine is not None and self._engine is other._engine:
            return True
        return self._same_account(other)

    async def _running(self) -> AsyncEngine:
        if self._closed:
            raise UsageError(CLOSED)
        self._require_loop()
        if self._engine is None:
            self._engine = await AsyncEngine(self._settings, credentials=self._credentials).start()
        self._loop = asyncio.get_running_loop()
        return self._engine

    def _require_loop(self) -> None:
        if self._loop not in (None, asyncio.get_running_loop()):
            raise UsageError("the store belongs to another event loop; make a new store there")

    def ref(self, key: str) -> ObjectRef:
        """Return the object that a key of this store means.

        Raises:
            UsageError: the key is none.
        """
        check_key(key)
        if self._above:
            check_key(self._above + key)
        return ObjectRef(self.url.bucket, self._above + key)

    def _below(self, prefix: str) -> str:
        """Return what the keys begin with that a prefix of the caller's means."""
        check_prefix(prefix)
        return self._above + prefix

    def _is_below(self, key: str) -> bool:
        """Whether a key of the service is one of this store; the mark of the prefix itself (``prefix/``) is none."""
        return key != self._above

    def _key(self, key: str) -> str:
        """Return a key of the service as the caller knows it."""
        return key.removeprefix(self._above)


def bucket_of(url: str) -> str:
    """Return the bucket that ``s3://bucket`` names.

    Raises:
        UsageError: it is no such URL.
    """
    bucket = url.removeprefix("s3://").removesuffix("/")
    if not url.startswith("s3://") or not bucket or not set("/?#").isdisjoint(bucket):
        raise UsageError("name the bucket as s3://bucket; one of another endpoint is opened as an S3Store", url)
    return bucket
