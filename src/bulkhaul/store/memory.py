"""Keeps the store contract in memory, for tests of programs that use a store.

It keeps the whole contract of ``ObjectStore`` and adds what a test needs: faults that strike once, in the order they
were queued; a rival that wins a conditional write; objects of any age.

    store = MemoryStore()
    store.fail_next("get_bytes", Throttled("the service asks to slow down"))
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

from bulkhaul.disk.folder import open_folder
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.paths import local_path, require_file
from bulkhaul.disk.source import SourceFile
from bulkhaul.model.errors import Unsupported
from bulkhaul.model.limits import DEFAULT_PRESIGN_S, MAX_DELETE_BATCH, MAX_OFFSET
from bulkhaul.model.objects import FolderListing, ObjectInfo, VersionInfo
from bulkhaul.model.results import ProgressCallback, TransferResult
from bulkhaul.model.writing import DEFAULT_OPTIONS, ObjectOptions
from bulkhaul.policy import ranges, storerules
from bulkhaul.policy.folders import in_folder
from bulkhaul.policy.put_options import put_options
from bulkhaul.policy.tags import check_tags
from bulkhaul.store.batches import batched
from bulkhaul.store.bodies import read, write
from bulkhaul.store.crossing import copied_through
from bulkhaul.store.files import HeldBody, Mode, NamedReader, StoringWriter
from bulkhaul.store.memory_bucket import MemoryBucket
from bulkhaul.store.protocol import ObjectStore


class MemoryStore(MemoryBucket):
    """An ``ObjectStore`` whose bucket is a dict; empty when made, gone with the last reference.

    Args:
        bucket: its name, in results and errors.
        bucket_exists: False for a store that answers NotFound to everything.
        multipart_threshold_bytes: from this size on a body is stored in parts (C24): its ETag and progress show it.
        part_size_bytes: of those parts.
        limits: what the service allows.
    """

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Return every object whose key begins with ``prefix``, as it is when the first one is taken."""
        storerules.check_prefix(prefix)
        self._begin("list", prefix)
        yield from self._listed(prefix)

    def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return the objects and the folders below ``prefix``."""
        storerules.check_prefix(prefix)
        self._begin("list_with_delimiter", prefix)
        return in_folder(self._listed(prefix), prefix)

    def head(self, key: str, *, version_id: str = "") -> ObjectInfo:
        """Return what is known of one object."""
        return self._find("head", key, version_id).info

    def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None, version_id: str = ""
    ) -> TransferResult:
        """Write one object to a file, part by part, and rename it into place."""
        destination = require_file(path)
        kept = self._find("get_to_file", key, version_id)
        parent, name = os.path.split(destination)
        folder = open_folder(parent)
        try:
            size = kept.info.size
            landing = Landing.create(folder.fd, name, destination, size, allocate=False, prefer_mapped=False)
            try:
                for part in self._parts(size):
                    write(landing, kept.body, part)
                    if progress is not None:
                        progress(part.size_bytes)
                inherited = folder.inherited_mode()
                landing.publish(mode=published_mode() if inherited is None else inherited, fsync=False)
            finally:
                landing.discard()
        finally:
            folder.release()
        return self._result(kept.info, source=self._url(key), destination=destination)

    def get_bytes(self, key: str, *, version_id: str = "") -> bytes:
        """Return a whole object."""
        return self._find("get_bytes", key, version_id).body

    def exists(self, key: str, *, version_id: str = "") -> bool:
        """Return whether there is an object of exactly this key."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        with self._lock:
            self._strike("exists")
            return self._bucket_exists and key in self._objects

    def get_bytes_suffix(self, key: str, length: int, *, version_id: str = "") -> bytes:
        """Return the last ``length`` bytes, all of a shorter object."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        ranges.check_length(length, self._url(key))
        if not length:
            self._require_open()
            return b""
        return self._find("get_bytes_suffix", key).body[-length:]

    def get_ranges(self, key: str, spans: Iterable[tuple[int, int]], *, version_id: str = "") -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        wanted = ranges.wanted_spans(spans, self._url(key))
        if not ranges.grouped(wanted):
            self._require_open()
            return [b""] * len(wanted)
        body = self._find("get_ranges", key).body
        ranges.require_within(wanted, len(body), self._url(key))
        return [body[start:end] for start, end in wanted]

    def get_bytes_range(self, key: str, start: int, end: int | None = None, *, version_id: str = "") -> bytes:
        """Return exactly the bytes ``[start, end)``."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        if not storerules.asks_for_bytes(start, MAX_OFFSET if end is None else end, self._url(key)):
            self._require_open()
            return b""
        body = self._find("get_bytes_range", key).body
        if end is None:
            start, end = ranges.to_the_end(start, len(body), self._url(key))
        if end > len(body):
            raise storerules.outside(start, end, self._url(key))
        return body[start:end]

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
        """Store ``body``."""
        storerules.check_key(key)
        stored_as = put_options(options, content_disposition, metadata)
        kept = bytes(storerules.flat(body))
        storerules.check_object_size(len(kept), self._url(key), limits=self._limits)
        self._begin("put_bytes", key)
        for part in self._upload_parts(len(kept)):
            if progress is not None:
                progress(part.size_bytes)
        return self._result(self._store(key, kept, stored_as), source="-")

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
        """Store a regular file, read part by part from one descriptor."""
        storerules.check_key(key)
        stored_as = put_options(options, content_disposition, metadata)
        body = bytearray()
        with closing(SourceFile.open(local_path(path))) as source:
            storerules.check_object_size(source.size_bytes, self._url(key), limits=self._limits)
            self._begin("put_path", key)
            for part in self._upload_parts(source.size_bytes):
                body += read(source, part)
                if progress is not None:
                    progress(part.size_bytes)
            source.check_unchanged()
        return self._result(self._store(key, bytes(body), stored_as), source=source.path)

    def put_if_absent(self, key: str, body: bytes, *, options: ObjectOptions | None = None) -> bool:
        """Create an object unless it, or a rival's, exists."""
        storerules.check_key(key)
        stored_as = put_options(options)
        kept = bytes(storerules.flat(body))
        storerules.check_object_size(len(kept), self._url(key), limits=self._limits)
        self._begin("put_if_absent", key)
        with self._lock:
            if (rival := self._rivals.pop(key, None)) is not None:
                self._keep(key, rival, DEFAULT_OPTIONS)
            if key in self._objects:
                return False
            self._keep(key, kept, stored_as)
            return True

    def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object with its metadata and content headers."""
        storerules.check_key(destination_key)
        kept = self._find("copy", source_key)
        if source_key == destination_key:
            raise storerules.same_object(self._url(source_key))
        stored = self._store(destination_key, kept.body, kept.options)
        return self._result(stored, source=self._url(source_key))

    def copy_from(self, source: ObjectStore | str, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object of another store, through memory."""
        storerules.check_key(destination_key)
        self._begin("copy_from", destination_key)
        return copied_through(source, source_key, self, destination_key)

    def open(
        self, key: str, mode: Mode = "rb", *, options: ObjectOptions | None = None, version_id: str = ""
    ) -> io.BufferedIOBase:
        """Open one object as a file."""
        storerules.check_key(key)
        storerules.check_mode(mode, has_options=options is not None, version_id=version_id, subject=self._url(key))
        if mode == "rb":
            body = self._find("open", key, version_id).body
            return NamedReader(io.BytesIO(body), self._url(key))  # type: ignore[arg-type] # it reads as a raw one does
        stored_as = put_options(options)
        self._begin("open", key)
        return StoringWriter(HeldBody(lambda body: self.put_bytes(key, body, options=stored_as)), self._url(key))

    def delete(self, key: str, *, version_id: str = "") -> None:
        """Remove one object."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        with self._lock:
            self._strike("delete")
            self._require(key)
            del self._objects[key]

    def delete_many(self, keys: Iterable[str]) -> Iterator[TransferResult]:
        """Remove objects; a fault strikes a whole request of 1,000 of them."""
        for batch in batched(storerules.keys_of(keys), MAX_DELETE_BATCH):
            for key in batch:
                storerules.check_key(key)
            self._begin("delete_many", batch[0])
            with self._lock:
                for key in batch:
                    self._objects.pop(key, None)
            for key in batch:
                yield TransferResult(source=self._url(key), destination="", bucket=self.bucket, key=key)

    def get_tags(self, key: str, *, version_id: str = "") -> dict[str, str]:
        """Return the tags of one object."""
        return dict(self._find("get_tags", key, version_id).options.tags)

    def set_tags(self, key: str, tags: Mapping[str, str], *, version_id: str = "") -> None:
        """Give one object these tags instead of all that it has."""
        check_tags(tags, self._url(key))
        self._tag("set_tags", key, dict(tags), version_id)

    def delete_tags(self, key: str, *, version_id: str = "") -> None:
        """Take all tags from one object."""
        self._tag("delete_tags", key, {}, version_id)

    def list_versions(self, prefix: str = "") -> Iterator[VersionInfo]:
        """Refuse: only what is there now is kept.

        Raises:
            Unsupported: always.
        """
        storerules.check_prefix(prefix)
        self._begin("list_versions", prefix)
        raise Unsupported("this store keeps no versions; list its objects, or use a bucket", self._url(prefix))

    def presigned_get_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, version_id: str = "") -> str:
        """Return a URL that looks presigned; nothing answers at it."""
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        return self._presigned("presigned_get_url", key, ttl_s, "GET")

    def presigned_put_url(self, key: str, ttl_s: int = DEFAULT_PRESIGN_S, *, content_type: str = "") -> str:
        """Return a URL that looks presigned; nothing answers at it."""
        storerules.check_key(key)
        storerules.check_presigned("PUT", content_type, "", self._url(key))
        return self._presigned("presigned_put_url", key, ttl_s, "PUT")

    def probe(self, prefix: str = "") -> None:
        """Make sure that the bucket can be listed."""
        storerules.check_prefix(prefix)
        self._begin("probe", prefix)
