"""Keeps the store contract for one bucket of S3, for programs without an event loop: a facade over ``store.aio``."""

from __future__ import annotations

import functools
import io
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from bulkhaul.engine.facade import Engine
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import UsageError
from bulkhaul.model.limits import MAX_DELETE_BATCH
from bulkhaul.model.objects import ObjectInfo, VersionInfo
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import Settings
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy.put_options import put_options
from bulkhaul.policy.storerules import check_mode, keys_of
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store import aio
from bulkhaul.store.batches import batched
from bulkhaul.store.bucket import StoreOfBucket
from bulkhaul.store.made_from_url import MadeFromUrl
from bulkhaul.store.opening import PrefixUse
from bulkhaul.store.protocol import CLOSED, ObjectStore

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(
    method: Callable[Concatenate[aio.S3Store, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S3Store, P], T]:
    """Return a method that runs a method of the async store and waits for it."""

    @functools.wraps(method)
    def wait_for(self: S3Store, /, *args: P.args, **kwargs: P.kwargs) -> T:
        engine, store = self._running()
        return engine.run(functools.partial(method, store, *args, **kwargs))

    return wait_for


class S3Store(MadeFromUrl[Engine]):
    """One bucket; ``from_url`` says what becomes of a prefix in its URL (C1).

    Usage::

        with S3Store.from_url("s3+https://s3.eu-west-1.amazonaws.com/bucket") as store:
            store.put_path("model.bin", "/data/model.bin")
            for info in store.list("m"):
                print(info.key, info.size)

    The engine starts with the first operation and ends with ``close``, with the store's last reference, or with the
    program; a closed store stays closed. Threads may share a store. In a forked child, as torch's data loaders make, it
    starts an engine of its own. A pickled one is made anew from its URL and settings, an SSE-C key among them. One with
    given credentials is pickled only if these are a function of a module.

    Attributes:
        url: what the store was made from.
    """

    def __init__(
        self,
        url: StoreUrl,
        settings: Settings,
        *,
        engine: Engine | None = None,
        credentials: CredentialsSource | None = None,
        prefix: PrefixUse = "carry",
    ) -> None:
        """Take what ``from_url`` makes; an ``engine`` runs already, has its own settings, and outlives this store."""
        given = credentials if engine is None else engine.aio.credentials
        super().__init__(url, settings, engine=engine, credentials=given, prefix=prefix)
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._store: aio.S3Store | None = None
        self._finalizer: weakref.finalize[[], S3Store] | None = None
        self._closed = False
        _stores[id(self)] = self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the engine and all operations under way. Safe to call twice."""
        with self._lock:
            self._closed = True
            engine = self._engine
        if engine is not None and engine is not self._shared:
            engine.close()
        with self._lock:
            self._engine, self._store = None, None
            if self._finalizer is not None:
                self._finalizer.detach()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with ``prefix``; see ``bulkhaul.aio.S3Store.list``."""
        engine, store = self._running()
        yield from engine.each(store.list(prefix))

    def list_versions(self, prefix: str = "") -> Iterator[VersionInfo]:
        """Yield every version and delete marker; see ``bulkhaul.aio.S3Store.list_versions``."""
        engine, store = self._running()
        yield from engine.each(store.list_versions(prefix))

    def delete_many(self, keys: Iterable[str]) -> Iterator[TransferResult]:
        """Remove objects, and yield one outcome a key; see ``bulkhaul.aio.S3Store.delete_many``.

        The keys are taken on the caller's thread, so they can come from a listing of this store.
        """
        for batch in batched(keys_of(keys), MAX_DELETE_BATCH):
            engine, store = self._running()
            yield from engine.run(store.delete_together, batch)

    def copy_from(self, source: ObjectStore | str, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object of another store into this one; see ``bulkhaul.aio.S3Store.copy_from``.

        Raises:
            UsageError: the source is a store for asyncio, which belongs to the event loop of its own program.
        """
        if isinstance(source, StoreOfBucket):
            raise UsageError("this store cannot read from one of bulkhaul.aio; make the source a bulkhaul.S3Store")
        engine, store = self._running()
        if isinstance(source, S3Store):
            _, other = source._running()
            if store.same_service(other) or self._same_account(source):
                return engine.run(store.copy_of, other.ref(source_key), destination_key)
        return engine.run(store.copy_from, source, source_key, destination_key)

    def open(
        self,
        key: str,
        mode: Literal["rb", "wb"] = "rb",
        *,
        options: ObjectOptions | None = None,
        version_id: str = "",
    ) -> io.BufferedIOBase:
        """Open one object as a file; see ``Engine.open``."""
        engine, store = self._running()
        ref = store.ref(key)
        check_mode(mode, has_options=options is not None, version_id=version_id, subject=ref.url)
        if mode == "rb":
            return engine.open(ref, version_id=version_id)
        return engine.open(ref, "wb", options=put_options(options))

    list_with_delimiter = _blocking(aio.S3Store.list_with_delimiter)
    head = _blocking(aio.S3Store.head)
    get_to_file = _blocking(aio.S3Store.get_to_file)
    get_bytes = _blocking(aio.S3Store.get_bytes)
    exists = _blocking(aio.S3Store.exists)
    get_bytes_suffix = _blocking(aio.S3Store.get_bytes_suffix)
    get_ranges = _blocking(aio.S3Store.get_ranges)
    get_bytes_range = _blocking(aio.S3Store.get_bytes_range)
    put_bytes = _blocking(aio.S3Store.put_bytes)
    put_path = _blocking(aio.S3Store.put_path)
    put_if_absent = _blocking(aio.S3Store.put_if_absent)
    copy = _blocking(aio.S3Store.copy)
    delete = _blocking(aio.S3Store.delete)
    get_tags = _blocking(aio.S3Store.get_tags)
    set_tags = _blocking(aio.S3Store.set_tags)
    delete_tags = _blocking(aio.S3Store.delete_tags)
    presigned_get_url = _blocking(aio.S3Store.presigned_get_url)
    presigned_put_url = _blocking(aio.S3Store.presigned_put_url)
    probe = _blocking(aio.S3Store.probe)

    def _running(self) -> tuple[Engine, aio.S3Store]:
        with self._lock:
            if self._closed:
                raise UsageError(CLOSED)
            if self._engine is None or self._store is None:
                engine = self._shared or Engine(self._settings, credentials=self._credentials).start()
                if self._closed:  # by a signal handler, meanwhile
                    if engine is not self._shared:
                        engine.close()
                    raise UsageError(CLOSED)
                if self._engine is not None and self._store is not None:  # a signal handler has used it meanwhile
                    if engine is not self._shared:
                        engine.close()
                    return self._engine, self._store
                self._engine = engine
                self._store = aio.S3Store(self.url, self._settings, engine=engine.aio, prefix=self._prefix)
                if engine is not self._shared:
                    self._finalizer = weakref.finalize(self, engine.end)
            return self._engine, self._store

    def _leave_to_parent(self) -> None:
        """Begin anew in a forked child: the engine, and whatever thread held the lock, are the parent's."""
        self._lock = threading.RLock()
        if self._engine is None or self._engine is self._shared:
            return
        _of_parents.append(self._engine)
        self._engine, self._store = None, None
        if self._finalizer is not None:
            self._finalizer.detach()


_stores: weakref.WeakValueDictionary[int, S3Store] = weakref.WeakValueDictionary()
"""All stores, by their ids: some of them are equal."""

_of_parents: list[Engine] = []
"""Never freed here: what their event loops watch is shared with the process that this one was forked from."""


def _after_fork() -> None:
    for store in list(_stores.values()):
        store._leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
