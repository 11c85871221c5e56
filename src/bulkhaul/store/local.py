"""Keeps the store contract in a folder of this machine: each object is a file, at the path that its key is.

    put      temp file beside it ─▶ fsync ─▶ rename ─▶ fsync of the folder
    absent   temp file beside it ─▶ fsync ─▶ link, which fails if the name is taken ─▶ fsync of the folder
    get      one descriptor, so one object, whatever gets its name meanwhile

Folders are no objects: they come with the first object in them and go with the last. Links and what else is no regular
file are no objects either: they are not listed, not found, and never followed. Headers are kept in an extended
attribute (``disk.headers``).
"""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from bulkhaul.disk.chunks import Chunks, fill, read_all, read_at, slices_of
from bulkhaul.disk.folder import FolderHandle, open_folder
from bulkhaul.disk.headers import keep_content, kept_content
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.paths import local_path, require_file
from bulkhaul.disk.source import SourceFile
from bulkhaul.disk.tree import FileTree, components_of, identity_of
from bulkhaul.model.errors import LocalError, NotFound, PreconditionFailed, SourceChanged, Unsupported, UsageError
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.limits import DEFAULT_LIMITS, MAX_OFFSET, S3Limits
from bulkhaul.model.objects import Content, FolderListing, Integrity, ObjectInfo
from bulkhaul.model.results import TransferResult
from bulkhaul.policy import ranges, storerules
from bulkhaul.policy.folders import in_folder
from bulkhaul.store.progress import Deltas
from bulkhaul.store.protocol import CLOSED, ProgressCallback

_NO_HEADERS = Content()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalStore:
    """An ``ObjectStore`` whose bucket is a folder. Errors and results name an object by the path of its file.

    Usage::

        with LocalStore("/data/shelf") as store:
            store.put_bytes("2024/a.txt", b"hello")

    A put is on disk when it returns: file and folders are flushed. Processes and threads may share a folder, and other
    programs may read it. What another program writes in place is noticed by length and time, as any ETag here is made
    of inode, time and length. A pickled store is made anew from its folder.

    Attributes:
        folder: its absolute path.
    """

    def __init__(self, folder: str | os.PathLike[str], *, limits: S3Limits = DEFAULT_LIMITS) -> None:
        """Name the folder; the first operation looks whether it is there.

        Args:
            folder: it may be a link to one.
            limits: what is refused, so that a bucket would take whatever this store takes.

        Raises:
            LocalError: the path holds NUL.
        """
        self.folder = os.path.abspath(local_path(folder))
        self._limits = limits
        self._tree = FileTree(self.folder)
        self._closed = False

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle what the store was made from; unpickling makes a new store, which is open."""
        return _again, (type(self), self.folder, self._limits)

    def __eq__(self, other: object) -> bool:
        """Whether both are of the same class and mean the same folder by the same name."""
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, LocalStore)
        return (self.folder, self._limits) == (other.folder, other._limits)

    def __hash__(self) -> int:
        return hash((self.folder, self._limits))

    def __repr__(self) -> str:
        return f"<LocalStore of {self.folder!r}: {'closed' if self._closed else 'open'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer no more calls."""
        self._closed = True

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with ``prefix``, in the order of the UTF-8 bytes of the keys.

        What comes or goes meanwhile may be among them or not.

        Raises:
            NotFound: the store's folder is not there.
            LocalError: a folder in it cannot be read: a listing is never silently a part of one.
        """
        storerules.check_prefix(prefix)
        for key, status in self._open().files(prefix):
            yield ObjectInfo(key, status.st_size, _time(status.st_mtime_ns, self._path(key)))

    def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return the objects and the folders below ``prefix``; all that is below it is looked at."""
        return in_folder(self.list(prefix), prefix)

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of one object."""
        with self._found(key) as found:
            return _info(key, found.identity, found.path, kept_content(found.fd, found.path))

    def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> TransferResult:
        """Copy one object to a file, and rename it into place; it is not flushed."""
        destination = require_file(path)
        told = Deltas(progress)
        try:
            return self._fetch(key, destination, told)
        except PreconditionFailed:
            return self._fetch(key, destination, told)  # once (C18)

    def get_bytes(self, key: str) -> bytes:
        """Return a whole object.

        Raises:
            PreconditionFailed: another program wrote into its file meanwhile.
        """
        with self._found(key) as found, _noticed(found):
            body = bytearray(found.size_bytes)
            read_at(found, 0, memoryview(body))
            found.check_unchanged()
        return bytes(body)

    def exists(self, key: str) -> bool:
        """Return whether there is an object of exactly this key."""
        with self._open().root(key):
            pass  # a store whose folder is missing has no answer
        try:
            with self._found(key):
                return True
        except NotFound:
            return False

    def get_bytes_suffix(self, key: str, length: int) -> bytes:
        """Return the last ``length`` bytes, all of a shorter object."""
        _check_key(key)
        ranges.check_length(length, self._path(key))
        if not length:
            return b""
        with self._found(key) as found, _noticed(found):
            body = bytearray(min(length, found.size_bytes))
            read_at(found, found.size_bytes - len(body), memoryview(body))
            found.check_unchanged()
        return bytes(body)

    def get_ranges(self, key: str, spans: Iterable[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges."""
        _check_key(key)
        wanted = ranges.wanted_spans(spans, self._path(key))
        if not ranges.coalesced(wanted):
            return [b""] * len(wanted)
        with self._found(key) as found, _noticed(found):
            ranges.require_within(wanted, found.size_bytes, found.path)
            bodies = [bytearray(end - start) for start, end in wanted]
            for (start, _), body in zip(wanted, bodies, strict=True):
                read_at(found, start, memoryview(body))
            found.check_unchanged()
        return [bytes(body) for body in bodies]

    def get_bytes_range(self, key: str, start: int, end: int | None = None) -> bytes:
        """Return exactly the bytes ``[start, end)``."""
        _check_key(key)
        if not storerules.asks_for_bytes(start, MAX_OFFSET if end is None else end, self._path(key)):
            return b""
        with self._found(key) as found, _noticed(found):
            if end is None:
                start, end = ranges.to_the_end(start, found.size_bytes, found.path)
            if end > found.size_bytes:
                raise storerules.outside(start, end, found.path)
            body = bytearray(end - start)
            read_at(found, start, memoryview(body))
        return bytes(body)

    def put_bytes(
        self,
        key: str,
        body: bytes,
        *,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store ``body``, durably."""
        _check_key(key)
        content = _content(content_disposition, metadata)
        view = storerules.flat(body)
        info = self._store(key, slices_of(view), len(view), content, Deltas(progress))
        return self._result(info, source="-")

    def put_path(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store a regular file, durably; it is read from one descriptor."""
        _check_key(key)
        content = _content(content_disposition, metadata)
        with closing(SourceFile.open(local_path(path))) as source:
            info = self._store(key, read_all(source), source.size_bytes, content, Deltas(progress))
        return self._result(info, source=source.path)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object, durably, unless one exists; it has its name only when it is complete.

        Raises:
            LocalError: a folder, a link or a device has the name.
            Unsupported: the file system can neither link nor rename without replacing.
        """
        _check_key(key)
        view = storerules.flat(body)
        with self._landing(key, len(view)) as (folder, landing):
            fill(landing, slices_of(view))
            if landing.publish_new(mode=_mode(folder)):
                return True
        return False

    def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object with its metadata and content headers."""
        _check_key(destination_key)
        with self._found(source_key) as source:
            if source_key == destination_key:
                raise storerules.same_object(source.path)
            with _noticed(source):
                content = kept_content(source.fd, source.path)
                info = self._store(destination_key, read_all(source), source.size_bytes, content, Deltas(None))
        return self._result(info, source=source.path)

    def delete(self, key: str) -> None:
        """Remove one object, and the folders that it leaves empty.

        Raises:
            DurabilityUnknown: it is removed, but the folder could not be flushed.
        """
        with self._found(key):
            self._tree.remove(key)

    def presigned_get_url(self, key: str, ttl_s: int) -> str:
        """Refuse: nobody serves the files of a folder.

        Raises:
            Unsupported: always, if the time is a possible one.
        """
        _check_key(key)
        storerules.check_ttl(ttl_s)
        raise Unsupported(
            "a folder has no URLs that others can fetch; share its files, or use a bucket", self._path(key)
        )

    def probe(self, prefix: str = "") -> None:
        """Make sure that the folder can be listed."""
        storerules.check_prefix(prefix)
        with self._open().root(prefix) as root:
            try:
                with os.scandir(root) as entries:
                    next(entries, None)
            except OSError as error:
                raise local_error(error, self.folder) from error

    def _path(self, key: str) -> str:
        return self._tree.path(key)

    def _open(self) -> FileTree:
        if self._closed:
            raise UsageError(CLOSED)
        return self._tree

    def _found(self, key: str) -> AbstractContextManager[SourceFile]:
        storerules.check_key(key)
        return self._open().opened(key)

    def _landing(self, key: str, size_bytes: int) -> AbstractContextManager[tuple[FolderHandle, Landing]]:
        storerules.check_object_size(size_bytes, self._path(key), limits=self._limits)
        return self._open().landing(key, size_bytes)

    def _store(self, key: str, chunks: Chunks, size_bytes: int, content: Content, told: Deltas) -> ObjectInfo:
        with self._landing(key, size_bytes) as (folder, landing):
            fill(landing, chunks, told.reached)
            keep_content(landing.fd, content, landing.path)
            info = _info(key, identity_of(os.fstat(landing.fd)), landing.path, content)
            landing.publish(mode=_mode(folder), fsync=True)
        return info

    def _fetch(self, key: str, destination: str, told: Deltas) -> TransferResult:
        parent, name = os.path.split(destination)
        with self._found(key) as source, _noticed(source):
            folder = open_folder(parent)
            try:
                size_bytes = source.size_bytes
                landing = Landing.create(folder.fd, name, destination, size_bytes, allocate=False, prefer_mapped=False)
                try:
                    fill(landing, read_all(source), told.reached)
                    landing.publish(mode=_mode(folder), fsync=False)
                finally:
                    landing.discard()
            finally:
                folder.release()
            told.end(size_bytes)
            return self._result(_info(key, source.identity, source.path), source=source.path, destination=destination)

    def _result(self, info: ObjectInfo, *, source: str, destination: str = "") -> TransferResult:
        return TransferResult(
            source=source,
            destination=destination or self._path(info.key),
            bucket=self.folder,
            key=info.key,
            size_bytes=info.size,
            etag=info.etag or "",
            last_modified=info.last_modified.isoformat() if info.last_modified else "",
            integrity=Integrity.ETAG,
        )


def _again(kind: type[LocalStore], folder: str, limits: S3Limits) -> LocalStore:
    return kind(folder, limits=limits)


def _check_key(key: str) -> None:
    """Make sure that a key can be a path below the folder.

    Raises:
        UsageError: it can be no key at all.
        UnsafeKey: it can be no path, though a bucket would take it.
    """
    storerules.check_key(key)
    components_of(key)


def _content(content_disposition: str, metadata: Mapping[str, str] | None) -> Content:
    reserved_bytes = storerules.RESERVED_METADATA_BYTES  # a bucket may add its token
    return storerules.content_of(content_disposition, metadata, reserved_bytes=reserved_bytes)


def _info(key: str, identity: SourceIdentity, path: str, content: Content = _NO_HEADERS) -> ObjectInfo:
    etag = f'"{identity.inode:x}-{identity.mtime_ns:x}-{identity.size_bytes:x}"'
    time_of = _time(identity.mtime_ns, path)
    return ObjectInfo(key, identity.size_bytes, time_of, etag, metadata=content.metadata, content=content)


def _time(mtime_ns: int, path: str) -> datetime:
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError as error:
        raise LocalError("its modification time is no date; set another one (touch)", path) from error


def _mode(folder: FolderHandle) -> int:
    inherited = folder.inherited_mode()
    return published_mode() if inherited is None else inherited


@contextmanager
def _noticed(found: SourceFile) -> Iterator[None]:
    """Tell a change of an object's file as a store does."""
    try:
        yield
    except SourceChanged as error:
        if error.subject != found.path:
            raise
        raise PreconditionFailed("another program wrote into its file meanwhile", found.path) from error
