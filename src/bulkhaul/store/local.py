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
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

from bulkhaul.disk.chunks import fill, read_all, read_at, slices_of
from bulkhaul.disk.headers import keep_content, kept_content
from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.paths import local_path, require_file
from bulkhaul.disk.source import SourceFile
from bulkhaul.engine.loop.progress import Deltas
from bulkhaul.model.errors import NotFound, PreconditionFailed, Unsupported
from bulkhaul.model.limits import DEFAULT_PRESIGN_S, MAX_OFFSET
from bulkhaul.model.objects import FolderListing, ObjectInfo, VersionInfo
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy import ranges, storerules
from bulkhaul.policy.folders import in_folder
from bulkhaul.policy.put_options import put_options
from bulkhaul.policy.tags import check_tags
from bulkhaul.store.crossing import copied_through
from bulkhaul.store.files import Mode, NamedReader
from bulkhaul.store.local_folder import LocalFolder, check_key, headers_of, info_of, mode_in, noticed, time_of
from bulkhaul.store.protocol import ObjectStore


class LocalStore(LocalFolder):
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

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yield every object whose key begins with ``prefix``, in the order of the UTF-8 bytes of the keys.

        What comes or goes meanwhile may be among them or not.

        Raises:
            NotFound: the store's folder is not there.
            LocalError: a folder in it cannot be read: a listing is never silently a part of one.
        """
        storerules.check_prefix(prefix)
        for key, status in self._open().files(prefix):
            yield ObjectInfo(key, status.st_size, time_of(status.st_mtime_ns, self._path(key)))

    def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return the objects and the folders below ``prefix``; all that is below it is looked at."""
        return in_folder(self.list(prefix), prefix)

    def head(self, key: str, *, version_id: str = "") -> ObjectInfo:
        """Return what is known of one object."""
        with self._found(key, version_id) as found:
            return info_of(key, found.identity, found.path, kept_content(found.fd, found.path))

    def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None, version_id: str = ""
    ) -> TransferResult:
        """Copy one object to a file, and rename it into place; it is not flushed."""
        destination = require_file(path)
        storerules.require_no_version(version_id, self._path(key))
        told = Deltas(progress)
        try:
            return self._fetch(key, destination, told)
        except PreconditionFailed:
            return self._fetch(key, destination, told)  # once (C18)

    def get_bytes(self, key: str, *, version_id: str = "") -> bytes:
        """Return a whole object.

        Raises:
            PreconditionFailed: another program wrote into its file meanwhile.
        """
        with self._found(key, version_id) as found, noticed(found):
            body = bytearray(found.size_bytes)
            read_at(found, 0, memoryview(body))
            found.check_unchanged()
        return bytes(body)

    def exists(self, key: str, *, version_id: str = "") -> bool:
        """Return whether there is an object of exactly this key."""
        try:
            with self._found(key, version_id):
                return True
        except NotFound:
            return False

    def get_bytes_suffix(self, key: str, length: int, *, version_id: str = "") -> bytes:
        """Return the last ``length`` bytes, all of a shorter object."""
        self._asked(key, version_id)
        ranges.check_length(length, self._path(key))
        if not length:
            return b""
        with self._found(key, version_id) as found, noticed(found):
            body = bytearray(min(length, found.size_bytes))
            read_at(found, found.size_bytes - len(body), memoryview(body))
            found.check_unchanged()
        return bytes(body)

    def get_ranges(self, key: str, spans: Iterable[tuple[int, int]], *, version_id: str = "") -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges."""
        self._asked(key, version_id)
        wanted = ranges.wanted_spans(spans, self._path(key))
        if not ranges.grouped(wanted):
            return [b""] * len(wanted)
        with self._found(key, version_id) as found, noticed(found):
            ranges.require_within(wanted, found.size_bytes, found.path)
            bodies = [bytearray(end - start) for start, end in wanted]
            for (start, _), body in zip(wanted, bodies, strict=True):
                read_at(found, start, memoryview(body))
            found.check_unchanged()
        return [bytes(body) for body in bodies]

    def get_bytes_range(self, key: str, start: int, end: int | None = None, *, version_id: str = "") -> bytes:
        """Return exactly the bytes ``[start, end)``."""
        self._asked(key, version_id)
        if not storerules.asks_for_bytes(start, MAX_OFFSET if end is None else end, self._path(key)):
            return b""
        with self._found(key, version_id) as found, noticed(found):
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
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store ``body``, durably."""
        check_key(key)
        content = headers_of(put_options(options, content_disposition, metadata), self._path(key))
        view = storerules.flat(body)
        info = self._store(key, slices_of(view), len(view), content, Deltas(progress))
        return self._result(info, source="-")

    def put_path(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        options: ObjectOptions | None = None,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store a regular file, durably; it is read from one descriptor."""
        check_key(key)
        content = headers_of(put_options(options, content_disposition, metadata), self._path(key))
        with closing(SourceFile.open(local_path(path))) as source:
            info = self._store(key, read_all(source), source.size_bytes, content, Deltas(progress))
        return self._result(info, source=source.path)

    def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        """Create an object, durably, unless one exists; it has its name only when it is complete.

        Raises:
            LocalError: a folder, a link or a device has the name.
            Unsupported: the file system can neither link nor rename without replacing.
        """
        check_key(key)
        content = headers_of(put_options(options), self._path(key))
        view = storerules.flat(body)
        with self._landing(key, len(view)) as (folder, landing):
            fill(landing, slices_of(view))
            keep_content(landing.fd, content, landing.path)
            if landing.publish_new(mode=mode_in(folder)):
                return True
        return False

    def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object with its metadata and content headers."""
        check_key(destination_key)
        with self._found(source_key) as source:
            if source_key == destination_key:
                raise storerules.same_object(source.path)
            with noticed(source):
                content = kept_content(source.fd, source.path)
                info = self._store(destination_key, read_all(source), source.size_bytes, content, Deltas(None))
        return self._result(info, source=source.path)

    def copy_from(self, source: ObjectStore | str, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object of another store, durably, through memory."""
        check_key(destination_key)
        return copied_through(source, source_key, self, destination_key)

    def open(
        self, key: str, mode: Mode = "rb", *, options: ObjectOptions | None = None, version_id: str = ""
    ) -> io.BufferedIOBase:
        """Open one object as a file; what is written is durable once it is closed.

        What another program writes in place while it is read is not noticed.
        """
        check_key(key)
        storerules.check_mode(mode, has_options=options is not None, version_id=version_id, subject=self._path(key))
        if mode == "wb":
            return self._writer(key, headers_of(put_options(options), self._path(key)))
        with self._found(key, version_id) as found:
            return NamedReader(io.FileIO(os.dup(found.fd)), found.path)

    def delete(self, key: str, *, version_id: str = "") -> None:
        """Remove one object, and the folders that it leaves empty.

        Raises:
            DurabilityUnknown: it is removed, but the folder could not be flushed.
        """
        with self._found(key, version_id):
            self._tree.remove(key)

    def delete_many(self, keys: Iterable[str]) -> Iterator[TransferResult]:
        """Remove objects, one after another; a key that can be no path is refused in its outcome."""
        with self._open().root(""):
            pass  # of a folder that is missing nothing can be removed
        for key in storerules.keys_of(keys):
            storerules.check_key(key)
            yield self._removed(key)

    def get_tags(self, key: str, *, version_id: str = "") -> dict[str, str]:
        """Refuse: a file keeps no tags.

        Raises:
            Unsupported: always.
        """
        raise self._no_tags(key, version_id)

    def set_tags(self, key: str, tags: Mapping[str, str], *, version_id: str = "") -> None:
        """Refuse: see ``get_tags``."""
        check_tags(tags, self._path(key))
        raise self._no_tags(key, version_id)

    def delete_tags(self, key: str, *, version_id: str = "") -> None:
        """Refuse: see ``get_tags``."""
        raise self._no_tags(key, version_id)

    def list_versions(self, prefix: str = "") -> Iterator[VersionInfo]:
        """Refuse: a file has one version.

        Raises:
            Unsupported: always.
        """
        storerules.check_prefix(prefix)
        raise Unsupported("a folder keeps no versions; list its objects, or use a bucket", self.folder)

    def presigned_get_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, version_id: str = "") -> str:
        """Refuse: nobody serves the files of a folder.

        Raises:
            Unsupported: always, if the time is a possible one.
        """
        storerules.require_no_version(version_id, self._path(key))
        raise self._no_urls(key, ttl_s)

    def presigned_put_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, content_type: str = "") -> str:
        """Refuse: see ``presigned_get_url``."""
        storerules.check_presigned("PUT", content_type, "", self._path(key))
        raise self._no_urls(key, ttl_s)

    def probe(self, prefix: str = "") -> None:
        """Make sure that the folder can be listed."""
        storerules.check_prefix(prefix)
        with self._open().root(prefix) as root:
            try:
                with os.scandir(root) as entries:
                    next(entries, None)
            except OSError as error:
                raise local_error(error, self.folder) from error
