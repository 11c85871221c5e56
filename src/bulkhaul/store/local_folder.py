"""Keeps objects as files of one folder: finds, begins and publishes them, and tells what is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from bulkhaul.disk.chunks import Chunks, fill, read_all
from bulkhaul.disk.folder import FolderHandle, open_folder
from bulkhaul.disk.headers import keep_content
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.paths import local_path
from bulkhaul.disk.source import SourceFile
from bulkhaul.disk.tree import FileTree, components_of, identity_of
from bulkhaul.engine.loop.progress import Deltas
from bulkhaul.model.errors import (
    LocalError,
    NotFound,
    PreconditionFailed,
    SourceChanged,
    TransferError,
    Unsupported,
    UsageError,
)
from bulkhaul.model.files import SourceIdentity
from bulkhaul.model.limits import DEFAULT_LIMITS, S3Limits
from bulkhaul.model.objects import Content, ObjectInfo
from bulkhaul.model.results import TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy import storerules
from bulkhaul.policy.put_options import only_headers
from bulkhaul.store.files import BegunFile, StoringWriter
from bulkhaul.store.kept_result import kept_result
from bulkhaul.store.protocol import CLOSED

_NO_HEADERS = Content()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LocalFolder:
    """A folder whose files are objects.

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
        assert isinstance(other, LocalFolder)
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

    def _path(self, key: str) -> str:
        return self._tree.path(key)

    def _open(self) -> FileTree:
        if self._closed:
            raise UsageError(CLOSED)
        return self._tree

    def _found(self, key: str, version_id: str = "") -> AbstractContextManager[SourceFile]:
        self._asked(key, version_id)
        return self._tree.opened(key)

    def _asked(self, key: str, version_id: str) -> None:
        """Refuse what no reading may be: of a store that is closed, or of a version."""
        check_key(key)
        storerules.require_no_version(version_id, self._path(key))
        self._open()

    def _removed(self, key: str) -> TransferResult:
        """Remove an object if it is there, and return what came of it."""
        failure = None
        try:
            with self._found(key):
                self._tree.remove(key)
        except NotFound:
            pass  # it is not there any more, which is what was asked for
        except TransferError as error:
            failure = error.info
        return TransferResult(source=self._path(key), destination="", bucket=self.folder, key=key, failure=failure)

    def _no_tags(self, key: str, version_id: str) -> Unsupported:
        self._open()
        check_key(key)
        storerules.require_no_version(version_id, self._path(key))
        return Unsupported("a folder keeps no tags; use metadata, or a bucket", self._path(key))

    def _no_urls(self, key: str, ttl_s: int) -> Unsupported:
        self._open()
        check_key(key)
        storerules.check_ttl(ttl_s)
        text = "a folder has no URLs that others can fetch; share its files, or use a bucket"
        return Unsupported(text, self._path(key))

    def _landing(self, key: str, size_bytes: int) -> AbstractContextManager[tuple[FolderHandle, Landing]]:
        storerules.check_object_size(size_bytes, self._path(key), limits=self._limits)
        return self._open().landing(key, size_bytes)

    def _store(self, key: str, chunks: Chunks, size_bytes: int, content: Content, told: Deltas) -> ObjectInfo:
        with self._landing(key, size_bytes) as (folder, landing):
            fill(landing, chunks, told.reached)
            keep_content(landing.fd, content, landing.path)
            info = info_of(key, identity_of(os.fstat(landing.fd)), landing.path, content)
            landing.publish(mode=mode_in(folder), fsync=True)
        return info

    def _writer(self, key: str, content: Content) -> StoringWriter:
        def allow(size_bytes: int) -> None:
            storerules.check_object_size(size_bytes, self._path(key), limits=self._limits)

        def publish(folder: FolderHandle, landing: Landing) -> TransferResult:
            info = info_of(key, identity_of(os.fstat(landing.fd)), landing.path, content)
            landing.publish(mode=mode_in(folder), fsync=True)
            return self._result(info, source="-")

        with ExitStack() as stack:
            begun = stack.enter_context(self._landing(key, 0))
            return StoringWriter(BegunFile(begun, stack.pop_all(), content, allow, publish), self._path(key))

    def _fetch(self, key: str, destination: str, told: Deltas) -> TransferResult:
        parent, name = os.path.split(destination)
        with self._found(key) as source, noticed(source):
            folder = open_folder(parent)
            try:
                size_bytes = source.size_bytes
                landing = Landing.create(folder.fd, name, destination, size_bytes, allocate=False, prefer_mapped=False)
                try:
                    fill(landing, read_all(source), told.reached)
                    landing.publish(mode=mode_in(folder), fsync=False)
                finally:
                    landing.discard()
            finally:
                folder.release()
            told.end(size_bytes)
            return self._result(info_of(key, source.identity, source.path), source=source.path, destination=destination)

    def _result(self, info: ObjectInfo, *, source: str, destination: str = "") -> TransferResult:
        return kept_result(self.folder, info, source=source, destination=destination or self._path(info.key))


def _again(kind: type[LocalFolder], folder: str, limits: S3Limits) -> LocalFolder:
    return kind(folder, limits=limits)


def check_key(key: str) -> None:
    """Make sure that a key can be a path below the folder.

    Raises:
        UsageError: it can be no key at all.
        UnsafeKey: it can be no path, though a bucket would take it.
    """
    storerules.check_key(key)
    components_of(key)


def headers_of(options: ObjectOptions, path: str) -> Content:
    """Return what a file can keep of how an object is to be stored: its headers and metadata.

    Raises:
        Unsupported: more is asked for.
    """
    if not only_headers(options):
        text = "a folder keeps headers and metadata alone; leave out storage class, tags, ACL, encryption and lock"
        raise Unsupported(text, path)
    return options.content


def info_of(key: str, identity: SourceIdentity, path: str, content: Content = _NO_HEADERS) -> ObjectInfo:
    """Return what is known of an object from the state of its file."""
    etag = f'"{identity.inode:x}-{identity.mtime_ns:x}-{identity.size_bytes:x}"'
    modified = time_of(identity.mtime_ns, path)
    return ObjectInfo(key, identity.size_bytes, modified, etag, metadata=content.metadata, content=content)


def time_of(mtime_ns: int, path: str) -> datetime:
    """Return when a file was modified last.

    Raises:
        LocalError: it is no date.
    """
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError as error:
        raise LocalError("its modification time is no date; set another one (touch)", path) from error


def mode_in(folder: FolderHandle) -> int:
    """Return the permission bits of a new file in a folder."""
    inherited = folder.inherited_mode()
    return published_mode() if inherited is None else inherited


@contextmanager
def noticed(found: SourceFile) -> Iterator[None]:
    """Tell a change of an object's file as a store does."""
    try:
        yield
    except SourceChanged as error:
        if error.subject != found.path:
            raise
        raise PreconditionFailed("another program wrote into its file meanwhile", found.path) from error
