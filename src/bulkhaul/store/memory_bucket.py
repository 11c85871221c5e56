"""Keeps objects in memory, with what a test queues for them: faults, rivals, other ages."""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self, get_args
from urllib.parse import quote

import msgspec

from bulkhaul.model.errors import NotFound, TransferError, UsageError
from bulkhaul.model.limits import DEFAULT_LIMITS, S3Limits
from bulkhaul.model.objects import ObjectInfo, ObjectRef
from bulkhaul.model.presigning import Method
from bulkhaul.model.results import TransferResult
from bulkhaul.model.settings import DEFAULT_PART_SIZE_BYTES, DEFAULT_THRESHOLD_BYTES
from bulkhaul.model.writing import ObjectOptions
from bulkhaul.policy import storerules
from bulkhaul.policy.layout import Part, plan_download
from bulkhaul.store.bodies import etag_of_parts, md5
from bulkhaul.store.kept_result import kept_result
from bulkhaul.store.protocol import CLOSED

Operation = Literal[
    "list", "list_with_delimiter", "head", "get_to_file", "get_bytes", "get_bytes_range",
    "exists", "get_bytes_suffix", "get_ranges", "put_bytes", "put_path", "put_if_absent", "copy",
    "copy_from", "open",
    "delete", "delete_many", "get_tags", "set_tags", "delete_tags", "list_versions",
    "presigned_get_url", "presigned_put_url", "probe",
]  # fmt: skip
"""The methods of a store that a fault can strike."""


class Kept(msgspec.Struct, frozen=True):
    """One object."""

    body: bytes
    info: ObjectInfo
    options: ObjectOptions


class MemoryBucket:
    """A bucket that is a dict, and what strikes its next requests."""

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
        self._objects: dict[str, Kept] = {}
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
            self._objects[key] = Kept(kept.body, info, kept.options)

    def _strike(self, operation: Operation) -> None:
        self._require_open()
        if self._faults[operation]:
            raise self._faults[operation].popleft()

    def _require_open(self) -> None:
        if self._closed:
            raise UsageError(CLOSED)

    def _begin(self, operation: Operation, key: str) -> None:
        with self._lock:
            self._strike(operation)
            if not self._bucket_exists:
                raise self._no_bucket(key)

    def _listed(self, prefix: str) -> list[ObjectInfo]:
        """Return what a listing tells of the objects below a prefix, in its order."""
        with self._lock:
            found = [kept.info for key, kept in self._objects.items() if key.startswith(prefix)]
        found.sort(key=lambda info: info.key.encode())
        return [ObjectInfo(info.key, info.size, info.last_modified) for info in found]

    def _find(self, operation: Operation, key: str, version_id: str = "") -> Kept:
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        with self._lock:
            self._strike(operation)
            return self._require(key)

    def _tag(self, operation: Operation, key: str, tags: dict[str, str], version_id: str) -> None:
        storerules.check_key(key)
        storerules.require_no_version(version_id, self._url(key))
        with self._lock:
            self._strike(operation)
            kept = self._require(key)
            options = msgspec.structs.replace(kept.options, tags=tags)
            self._objects[key] = msgspec.structs.replace(kept, options=options)

    def _presigned(self, operation: Operation, key: str, ttl_s: int, method: Method) -> str:
        storerules.check_ttl(ttl_s)
        with self._lock:
            self._strike(operation)
        signed = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        proof = hashlib.sha256(f"{method} {self.bucket}/{key}?{signed}+{ttl_s}".encode()).hexdigest()
        query = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={signed}&X-Amz-Expires={ttl_s}&X-Amz-Signature={proof}"
        return f"memory://{self.bucket}/{quote(key, safe='/-._~')}?{query}"

    def _require(self, key: str) -> Kept:
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

    def _store(self, key: str, body: bytes, options: ObjectOptions) -> ObjectInfo:
        with self._lock:
            return self._keep(key, body, options)

    def _keep(self, key: str, body: bytes, options: ObjectOptions) -> ObjectInfo:
        parts = len(body) >= self._threshold_bytes
        etag = (
            etag_of_parts([body[part.start : part.end] for part in self._parts(len(body))])
            if parts
            else md5(body).hex()
        )
        now = datetime.now(UTC).replace(microsecond=0)
        info = ObjectInfo(
            key,
            len(body),
            now,
            f'"{etag}"',
            metadata=options.content.metadata,
            content=options.content,
            storage_class=options.storage_class,
        )
        self._objects[key] = Kept(body, info, options)
        return info

    def _result(self, info: ObjectInfo, *, source: str, destination: str = "") -> TransferResult:
        return kept_result(self.bucket, info, source=source, destination=destination or self._url(info.key))
