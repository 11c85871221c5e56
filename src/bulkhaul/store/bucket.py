"""Opens a store of S3 for asyncio programs, makes objects of its keys, and starts its engine with the first request."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self, Unpack

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.objects import ObjectRef
from bulkhaul.model.settings import Settings, SettingsFields
from bulkhaul.policy.storerules import check_key, check_prefix
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store.opening import PrefixUse, checked_use, chosen_use, put_before_keys, settings_for
from bulkhaul.store.protocol import CLOSED

OF_SERVICE = ("endpoint_url", "profile", "sign_requests", "request_payer", "sse_c_key")
"""Settings that two stores have in common if a service can copy from the bucket of one to that of the other."""


class StoreOfBucket:
    """One bucket, its keys, and the engine that serves it.

    Attributes:
        url: what the store was made from.
    """

    def __init__(
        self,
        url: StoreUrl,
        settings: Settings,
        *,
        engine: AsyncEngine | None = None,
        credentials: CredentialsSource | None = None,
        prefix: PrefixUse = "carry",
    ) -> None:
        """Take a parsed URL and the settings for it; ``from_url`` makes both.

        Args:
            engine: one that runs already, and is not ended by this store; its own settings and keys are in force.
            credentials: see ``AsyncEngine``; they stay in this process, and are no part of a pickle.
            prefix: what becomes of the prefix in the URL; see ``from_url``.

        Raises:
            UsageError: ``prefix`` is neither ``"apply"`` nor ``"carry"``.
        """
        self.url = url
        self._credentials = credentials
        self._prefix: PrefixUse = checked_use(prefix)
        self._above = put_before_keys(url, self._prefix)
        self._settings = settings if engine is None else engine.settings
        self._engine = engine
        self._owns_engine = engine is None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        prefix: PrefixUse | None = None,
        credentials: CredentialsSource | None = None,
        **settings: Unpack[SettingsFields],
    ) -> Self:
        """Return the store that a URL names.

        Args:
            url: ``s3+https://…``, ``s3+http://…`` or ``s3://bucket/prefix`` (C58 to C67).
            prefix: what becomes of a prefix in the URL, which must be said where there is one. ``"apply"``: all keys
                are below it, and callers neither write nor see it. ``"carry"``: keys are used as they are (C1), and
                ``store.url.prefix`` keeps it.
            settings: fields of ``Settings``; they go before what the URL says.

        Raises:
            InvalidUrl: the message names the wrong part.
            UsageError: a setting is unknown or out of range, or nothing is said of the prefix.
        """
        parsed, chosen = settings_for(url, settings)
        return cls(parsed, chosen, credentials=credentials, prefix=chosen_use(parsed, prefix))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what the store was made from; unpickling makes a new store, which has not begun."""
        return _again, (type(self), self.url, self._settings, self._prefix)

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same class and do the same: URL, keys, settings and given credentials are equal."""
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, StoreOfBucket)
        return (self._identity(), self._credentials) == (other._identity(), other._credentials)

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return shown(self, self.url, self._prefix)

    def _identity(self) -> tuple[StoreUrl, str, Settings]:
        return self.url, self._above, self._settings

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
        if engine is not None and self._owns_engine:
            try:
                await engine.close()
            except BaseException:
                self._engine = engine  # it may be running: closing again goes on
                raise

    def same_service(self, other: StoreOfBucket) -> bool:
        """Whether a request to this store's service can name an object of the other's bucket."""
        if self._engine is not None and self._engine is other._engine:
            return True
        # An engine that was given has credentials of its own.
        mine, others = self._settings, other._settings
        return (
            self._owns_engine
            and other._owns_engine
            and self._credentials == other._credentials
            and all(getattr(mine, name) == getattr(others, name) for name in OF_SERVICE)
        )

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
        return self._ref(key)

    def _ref(self, key: str) -> ObjectRef:
        """Return the object that a key of the caller's means."""
        check_key(key)
        if self._above:
            check_key(self._above + key)
        return ObjectRef(self.url.bucket, self._above + key)

    def _below(self, prefix: str) -> str:
        """Return what the keys begin with that a prefix of the caller's means."""
        check_prefix(prefix)
        return self._above + prefix

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


def shown(store: object, url: StoreUrl, prefix: PrefixUse) -> str:
    """Return the text of a store for people; what becomes of a prefix is told where there is one."""
    return f"{type(store).__name__}({str(url)!r}" + (f", prefix={prefix!r})" if url.prefix else ")")


def _again(kind: type[StoreOfBucket], url: StoreUrl, settings: Settings, prefix: PrefixUse) -> StoreOfBucket:
    return kind(url, settings, prefix=prefix)
