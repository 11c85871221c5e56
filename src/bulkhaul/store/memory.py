"""Keeps the store contract in memory, for tests of programs that use a store.

It keeps the whole contract of ``ObjectStore`` and adds what a test needs: faults that strike once, in the order they
were queued; a rival that wins a conditional write; objects of any age.

    store = MemoryStore()
    store.fail_next("get_bytes", Throttled("the service asks to slow down"))
"""

from __future__ import annotations

import builtins
import hashlib
import os
import threading
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self, get_args
from urllib.parse import quote

import msgspec

from bulkhaul.disk.folder import open_folder
from bulkhaul.disk.landing import Landing
from bulkhaul.disk.modes import published_mode
from bulkhaul.disk.paths import local_path, require_file
from bulkhaul.disk.source import SourceFile
from bulkhaul.model.errors import NotFound, TransferError, UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, MAX_OFFSET, S3Limits
from bulkhaul.model.objects import Content, FolderListing, Integrity, ObjectInfo, ObjectRef
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, DEFAULT_THRESHOLD_BYTES
from bulkhaul.policy import ranges, storerules
from bulkhaul.policy.folders import in_folder
from bulkhaul.policy.layout import Part, plan_download
from bulkhaul.store.bodies import etag_of_parts, md5, read, write
from bulkhaul.store.protocol import CLOSED, ProgressCallback

Operation = Literal[
    "list", "list_with_delimiter", "head", "get_to_file", "get_bytes", "get_bytes_range",
    "exists", "get_bytes_suffix", "get_ranges", "put_bytes", "put_path", "put_if_absent", "copy",
    "delete", "presigned_get_url", "probe",
]  # fmt: skip
"""The methods of a store that a fault can strike."""


class _Kept(msgspec.Struct, frozen=True):
    body: bytes
    info: ObjectInfo


class MemoryStore:
    """An ``ObjectStore`` whose bucket is a dict; empty when made, gone with the last reference.

    Args:
        bucket: its name, in results and errors.
        bucket_exists: False for a store that answers NotFound to everything.
        multipart_threshold_bytes: from this size on a body is stored in parts (C24): its ETag and progress show it.
        part_size_bytes: of those parts.
        limits: what the service allows.
    """

    def __init__(
        self,
        bucket: str = "memory",
        *,
        bucket_exists: bool = True,
        multipart_threshold_bytes: int = DEFAULT_THRESHOLD_BYTES,
        part_size_bytes: int = DEFAULT_PART_SIZE_BYTES,
        limits: S3Limits = DEFAULT_LIMITS,
    ) -> None:
        self.bucket = bucket
        self._bucket_exists = bucket_exists
        self._threshold_bytes = multipart_threshold_bytes
        self._part_size_bytes = part_size_bytes
        self._limits = limits
        self._objects: dict[str, _Kept] = {}
        self._faults: defaultdict[str, deque[TransferError]] = defaultdict(deque)
        self._rivals: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._closed = False

    def __repr__(self) -> str:
        return f"<MemoryStore {self.bucket!r}: {'closed' if self._closed else 'open'}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer no more requests."""
        self._closed = True

    @property
    def pending_faults(self) -> int:
        """How many queued faults and rivals have not struck yet; 0 at the end of a test that met them all."""
        with self._lock:
            return sum(map(len, self._faults.values())) + len(self._rivals)

    def fail_next(self, operation: Operation, error: TransferError) -> None:
        """Let the next request of ``operation`` raise ``error``, once; several strike in the order of these calls.

        It strikes where a real store would send its first request: a call that is refused or answered without one
        (an empty range, a bad TTL) leaves it queued.

        Raises:
            UsageError: no method has this name.
        """
        if operation not in get_args(Operation):
            raise UsageError(f"a store has no operation {operation!r}; name one of its methods")
        with self._lock:
            self._faults[operation].append(error)

    def contend(self, key: str, body: bytes = b"") -> None:
        """Let a rival create ``key`` with ``body`` just before the next ``put_if_absent`` of it: that one is False."""
        storerules.check_key(key)
        with self._lock:
            self._rivals[key] = body

    def backdate(self, key: str, last_modified: datetime) -> None:
        """Give an object another time of modification.

        Raises:
            NotFound: there is no such object.
            UsageError: the time has no time zone.
        """
        if last_modified.tzinfo is None:
            raise UsageError("the time has no time zone; pass one, such as datetime.UTC")
        with self._lock:
            kept = self._require(key)
            info = msgspec.structs.replace(kept.info, last_modified=last_modified.astimezone(UTC))
            self._objects[key] = _Kept(kept.body, info)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Return every object whose key begins with ``prefix``, as it is when the first one is taken."""
        storerules.check_prefix(prefix)
        self._begin("list", prefix)
        with self._lock:
            found = [kept.info for key, kept in self._objects.items() if key.startswith(prefix)]
        for info in sorted(found, key=lambda info: info.key.encode()):
            yield ObjectInfo(info.key, info.size, info.last_modified)

    def list_with_delimiter(self, prefix: str = "") -> FolderListing:
        """Return the objects and the folders below ``prefix``."""
        storerules.check_prefix(prefix)
        self._begin("list_with_delimiter", prefix)
        with self._lock:
            found = [kept.info for key, kept in self._objects.items() if key.startswith(prefix)]
        infos = sorted(found, key=lambda info: info.key.encode())
        return in_folder((ObjectInfo(info.key, info.size, info.last_modified) for info in infos), prefix)

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of one object."""
        return self._find("head", key).info

    def get_to_file(
        self, key: str, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> TransferResult:
        """Write one object to a file, part by part, and rename it into place."""
        destination = require_file(path)
        kept = self._find("get_to_file", key)
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

    def get_bytes(self, key: str) -> bytes:
        """Return a whole object."""
        return self._find("get_bytes", key).body

    def exists(self, key: str) -> bool:
        """Return whether there is an object of exactly this key."""
        storerules.check_key(key)
        self._begin("exists", key)
        with self._lock:
            return key in self._objects

    def get_bytes_suffix(self, key: str, length: int) -> bytes:
        """Return the last ``length`` bytes, all of a shorter object."""
        storerules.check_key(key)
        ranges.check_length(length, self._url(key))
        return self._find("get_bytes_suffix", key).body[-length:] if length else b""

    def get_ranges(self, key: str, spans: Iterable[tuple[int, int]]) -> builtins.list[bytes]:
        """Return the bytes of each range ``[start, end)``, in the order of the ranges."""
        storerules.check_key(key)
        wanted = ranges.wanted_spans(spans, self._url(key))
        if not ranges.coalesced(wanted):
            return [b""] * len(wanted)
        body = self._find("get_ranges", key).body
        ranges.require_within(wanted, len(body), self._url(key))
        return [body[start:end] for start, end in wanted]

    def get_bytes_range(self, key: str, start: int, end: int | None = None) -> bytes:
        """Return exactly the bytes ``[start, end)``."""
        storerules.check_key(key)
        if not storerules.asks_for_bytes(start, MAX_OFFSET if end is None else end, self._url(key)):
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
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store ``body``."""
        storerules.check_key(key)
        content = _content(content_disposition, metadata)
        kept = bytes(storerules.flat(body))
        storerules.check_object_size(len(kept), self._url(key), limits=self._limits)
        self._begin("put_bytes", key)
        for part in self._upload_parts(len(kept)):
            if progress is not None:
                progress(part.size_bytes)
        return self._result(self._store(key, kept, content), source="-")

    def put_path(
        self,
        key: str,
        path: str | os.PathLike[str],
        *,
        content_disposition: str = "",
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> TransferResult:
        """Store a regular file, read part by part from one descriptor."""
        storerules.check_key(key)
        content = _content(content_disposition, metadata)
        body = bytearray()
        with closing(SourceFile.open(local_path(path))) as source:
            storerules.check_object_size(source.size_bytes, self._url(key), limits=self._limits)
            self._begin("put_path", key)
            for part in self._upload_parts(source.size_bytes):
                body += read(source, part)
                if progress is not None:
                    progress(part.size_bytes)
            source.check_unchanged()
        return self._result(self._store(key, bytes(body), content), source=source.path)

    def put_if_absent(self, key: str, body: bytes) -> bool:
        """Create an object unless it, or a rival's, exists."""
        storerules.check_key(key)
        kept = bytes(storerules.flat(body))
        storerules.check_object_size(len(kept), self._url(key), limits=self._limits)
        self._begin("put_if_absent", key)
        with self._lock:
            if (rival := self._rivals.pop(key, None)) is not None:
                self._keep(key, rival, Content())
            if key in self._objects:
                return False
            self._keep(key, kept, Content())
            return True

    def copy(self, source_key: str, destination_key: str) -> TransferResult:
        """Copy an object with its metadata and content headers."""
        storerules.check_key(destination_key)
        kept = self._find("copy", source_key)
        if source_key == destination_key:
            raise storerules.same_object(self._url(source_key))
        stored = self._store(destination_key, kept.body, kept.info.content)
        return self._result(stored, source=self._url(source_key))

    def delete(self, key: str) -> None:
        """Remove one object."""
        storerules.check_key(key)
        with self._lock:
            self._strike("delete")
            self._require(key)
            del self._objects[key]

    def presigned_get_url(self, key: str, ttl_s: int) -> str:
        """Return a URL that looks presigned; nothing answers at it."""
        storerules.check_key(key)
        storerules.check_ttl(ttl_s)
        with self._lock:
            self._strike("presigned_get_url")
        signed = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        proof = hashlib.sha256(f"{self.bucket}/{key}?{signed}+{ttl_s}".encode()).hexdigest()
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed}&X-Amz-Expires={ttl_s}&X-Amz-Signature={proof}"
        return f"memory://{self.bucket}/{quote(key, safe='/-._~')}?{query}"

    def probe(self, prefix: str = "") -> None:
        """Make sure that the bucket can be listed."""
        storerules.check_prefix(prefix)
        self._begin("probe", prefix)

    def _strike(self, operation: Operation) -> None:
        if self._closed:
            raise UsageError(CLOSED)
        if self._faults[operation]:
            raise self._faults[operation].popleft()

    def _begin(self, operation: Operation, key: str) -> None:
        with self._lock:
            self._strike(operation)
            if not self._bucket_exists:
                raise self._no_bucket(key)

    def _find(self, operation: Operation, key: str) -> _Kept:
        storerules.check_key(key)
        with self._lock:
            self._strike(operation)
            return self._require(key)

    def _require(self, key: str) -> _Kept:
        if not self._bucket_exists:
            raise self._no_bucket(key)
        if key not in self._objects:
            raise NotFound("there is no such key; check its spelling", self._url(key))
        return self._objects[key]

    def _no_bucket(self, key: str) -> NotFound:
        return NotFound("there is no such bucket; check its name", self._url(key))

    def _url(self, key: str) -> str:
        return ObjectRef(self.bucket, key).url

    def _parts(self, size_bytes: int) -> Iterator[Part]:
        return iter(plan_download(size_bytes, part_size_bytes=self._part_size_bytes, limits=self._limits))

    def _upload_parts(self, size_bytes: int) -> Iterator[Part]:
        if 0 < size_bytes < self._threshold_bytes:
            return iter((Part(1, 0, size_bytes),))
        return self._parts(size_bytes)

    def _store(self, key: str, body: bytes, content: Content) -> ObjectInfo:
        with self._lock:
            return self._keep(key, body, content)

    def _keep(self, key: str, body: bytes, content: Content) -> ObjectInfo:
        parts = len(body) >= self._threshold_bytes
        etag = (
            etag_of_parts([body[part.start : part.end] for part in self._parts(len(body))])
            if parts
            else md5(body).hex()
        )
        now = datetime.now(UTC).replace(microsecond=0)
        info = ObjectInfo(key, len(body), now, f'"{etag}"', metadata=content.metadata, content=content)
        self._objects[key] = _Kept(body, info)
        return info

    def _result(self, info: ObjectInfo, *, source: str, destination: str = "") -> TransferResult:
        return TransferResult(
            source=source,
            destination=destination or self._url(info.key),
            bucket=self.bucket,
            key=info.key,
            size_bytes=info.size,
            etag=info.etag or "",
            last_modified=info.last_modified.isoformat() if info.last_modified else "",
            integrity=Integrity.ETAG,
        )


def _content(content_disposition: str, metadata: Mapping[str, str] | None) -> Content:
    reserved_bytes = storerules.RESERVED_METADATA_BYTES  # a real store may add its token
    return storerules.content_of(content_disposition, metadata, reserved_bytes=reserved_bytes)
