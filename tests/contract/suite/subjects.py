"""What a store under test is, and what it is known not to keep.

Job: describe a store under test, and those of this machine: in memory, in a folder. Must not know any row; the list is
in `stores`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bulkhaul import LocalStore, MemoryStore, ObjectStore
from bulkhaul.disk.chunks import CHUNK_BYTES
from bulkhaul.model.limits import KIB, MIB, S3Limits

Elsewhere = Literal["missing", "denied", "unreachable"]
"""A bucket that is not there, credentials that the service does not know, an endpoint where nobody listens."""


@dataclass(frozen=True)
class Subject:
    """A store on a fresh bucket, and what a test must know of it.

    Attributes:
        elsewhere: opens another store that no request can succeed on.
        part_size_bytes: of downloads in parts and of uploads in parts.
        multipart_threshold_bytes: the smallest body that is uploaded in parts.
        large_bytes: a size of several parts, the last one short.
        max_object_bytes: what the store's limits were lowered to.
        many_keys: enough for a second page of a listing.
        scheme: what an error names before bucket and key.
        pending_uploads: returns the keys of multipart uploads that were neither completed nor aborted.
    """

    store: ObjectStore
    bucket: str
    elsewhere: Callable[[Elsewhere], AbstractContextManager[ObjectStore]]
    part_size_bytes: int
    multipart_threshold_bytes: int
    large_bytes: int
    max_object_bytes: int
    pending_uploads: Callable[[], Sequence[str]]
    many_keys: int = 1500
    scheme: str = "s3://"

    def url(self, key: str) -> str:
        """Return what an error about ``key`` must name."""
        return f"{self.scheme}{self.bucket}/{key}"


Make = Callable[[], AbstractContextManager[Subject]]
"""Opens the store on a fresh bucket, for one test."""


@dataclass(frozen=True)
class Gap:
    """A row that a store is known not to keep: its test must fail, and in this way.

    Attributes:
        reason: what the server (or the store) does instead.
        shows: the exceptions that the test then ends with; any other fails the run, and so does success.
    """

    reason: str
    shows: tuple[type[BaseException], ...] = (AssertionError, pytest.fail.Exception)

    def mark(self) -> pytest.MarkDecorator:
        """Return the mark that asserts the gap."""
        return pytest.mark.xfail(reason=self.reason, raises=self.shows, strict=True)


@dataclass(frozen=True)
class StoreUnderTest:
    """One kind of store.

    Attributes:
        running: starts what the store needs, once for all tests, and gives what opens it for one test.
        gaps: by the name of the test.
    """

    name: str
    running: Callable[[], AbstractContextManager[Make]]
    gaps: Mapping[str, Gap] = field(default_factory=dict)


@contextmanager
def memory_running() -> Iterator[Make]:
    """Nothing has to be started for a store in memory."""
    threshold_bytes, part_size_bytes, max_object_bytes = 16 * KIB, 4 * KIB, 256 * KIB

    @contextmanager
    def elsewhere(where: Elsewhere) -> Iterator[ObjectStore]:
        yield MemoryStore("elsewhere", bucket_exists=where != "missing")

    @contextmanager
    def make() -> Iterator[Subject]:
        yield Subject(
            store=MemoryStore(
                "shelf",
                multipart_threshold_bytes=threshold_bytes,
                part_size_bytes=part_size_bytes,
                limits=S3Limits(max_object_bytes=max_object_bytes),
            ),
            bucket="shelf",
            elsewhere=elsewhere,
            part_size_bytes=part_size_bytes,
            multipart_threshold_bytes=threshold_bytes,
            large_bytes=40 * KIB + 3,
            max_object_bytes=max_object_bytes,
            pending_uploads=list,
        )

    yield make


@contextmanager
def local_running() -> Iterator[Make]:
    """Each test gets an empty folder."""
    max_object_bytes = 8 * MIB

    @contextmanager
    def make() -> Iterator[Subject]:
        with tempfile.TemporaryDirectory() as folder:
            shelf, empty = Path(folder) / "shelf", Path(folder) / "empty"
            shelf.mkdir()
            empty.mkdir()

            @contextmanager
            def elsewhere(where: Elsewhere) -> Iterator[ObjectStore]:
                yield LocalStore(empty if where != "missing" else Path(folder) / "missing")

            yield Subject(
                store=LocalStore(shelf, limits=S3Limits(max_object_bytes=max_object_bytes)),
                bucket=str(shelf),
                elsewhere=elsewhere,
                part_size_bytes=CHUNK_BYTES,
                multipart_threshold_bytes=2 * CHUNK_BYTES,
                large_bytes=4 * CHUNK_BYTES + 3,
                max_object_bytes=max_object_bytes,
                pending_uploads=lambda: [path.name for path in shelf.rglob("*.tmp")],
                many_keys=300,
                scheme="",
            )

    yield make
