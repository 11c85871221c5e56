"""Buckets on a real server, as subjects of the suite: fresh ones, all served by one engine.

Job: buckets, credentials in the environment, and what the server holds that no store shows. Must not know any row.
"""

from __future__ import annotations

import functools
import itertools
import os
import socket
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self
from unittest import mock

from bulkhaul import Engine, ObjectStore, S3Store
from bulkhaul.model.limits import S3Limits
from bulkhaul.model.settings import Settings
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store.opening import settings_for
from tests.servers import RunningServer

from .subjects import Elsewhere, Make, Subject


@dataclass(frozen=True)
class Sizes:
    """How large things are on a server, so that the suite is quick there; see ``Subject``."""

    part_size_bytes: int
    full_parts: int = 4
    many_keys: int = 1001

    @property
    def multipart_threshold_bytes(self) -> int:
        """Two parts."""
        return 2 * self.part_size_bytes

    @property
    def large_bytes(self) -> int:
        """Some full parts and a bit."""
        return self.full_parts * self.part_size_bytes + 3

    @property
    def limits(self) -> S3Limits:
        """As S3's, but for the largest object and the smallest part."""
        return S3Limits(
            max_object_bytes=(self.full_parts + 1) * self.part_size_bytes, min_part_bytes=self.part_size_bytes
        )


def on_server(
    start: Callable[[], AbstractContextManager[RunningServer]], sizes: Sizes
) -> Callable[[], AbstractContextManager[Make]]:
    """Return what ``StoreUnderTest.running`` needs for an S3Store on a server.

    StoreUnderTest("weed", on_server(weed, Sizes(5 * MIB)), WEED)
    """

    @contextmanager
    def running() -> Iterator[Make]:
        with ExitStack() as stack:
            server = stack.enter_context(start())
            client = server.client()
            engines = Engines(server, sizes, stack)
            buckets = stack.enter_context(Buckets(client))

            @contextmanager
            def make() -> Iterator[Subject]:
                with buckets.fresh() as bucket:
                    yield subject_on(client, bucket, engines, sizes)

            yield make

    return running


class Buckets:
    """Empty buckets, made ahead of the tests and removed behind them: some servers take a while for either."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pool = ThreadPoolExecutor(2)
        self._numbers = itertools.count(1)
        self._ahead = deque(self._pool.submit(self._make) for _ in range(3))
        self._behind: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._pool:
            for bucket in self._ahead:
                self._behind.append(self._pool.submit(self._remove, bucket.result()))
            for removal in self._behind:
                removal.result()

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """Give an empty bucket, and remove it afterwards with all that is in it."""
        self._ahead.append(self._pool.submit(self._make))
        bucket = self._ahead.popleft().result()
        try:
            yield bucket
        finally:
            self._behind.append(self._pool.submit(self._remove, bucket))

    def _make(self) -> str:
        bucket = f"bucket-{next(self._numbers)}"
        self._client.create_bucket(Bucket=bucket)
        self._client.put_object(Bucket=bucket, Key="first", Body=b"x")  # SeaweedFS makes room only now
        self._client.delete_object(Bucket=bucket, Key="first")
        return bucket

    def _remove(self, bucket: str) -> None:
        for upload in pending_on(self._client, bucket):
            self._client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if doomed := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                self._client.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
        self._client.delete_bucket(Bucket=bucket)


class Engines:
    """The engines before one server, each started when it is first needed and ended with the stack."""

    def __init__(self, server: RunningServer, sizes: Sizes, stack: ExitStack) -> None:
        self._server = server
        self._sizes = sizes
        self._stack = stack
        self._state_dir = stack.enter_context(tempfile.TemporaryDirectory())
        self._nobody = stack.enter_context(socket.socket())
        self._nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else ever listens there
        self._engine = functools.cache(self._started)

    def store(self, bucket: str, where: Elsewhere | None = None) -> S3Store:
        """Return a store on a bucket of the server, or one that cannot succeed."""
        secret = "denied" if where == "denied" else ""
        port = self._nobody.getsockname()[1] if where == "unreachable" else self._server.port
        parsed, settings = self._settings(port, f"{bucket}-missing" if where == "missing" else bucket)
        return S3Store(parsed, settings, engine=self._engine(port, secret))

    def _started(self, port: int, secret: str) -> Engine:
        with environment(self._server, {"AWS_SECRET_ACCESS_KEY": secret} if secret else {}):
            return self._stack.enter_context(Engine(self._settings(port, "any")[1]))

    def _settings(self, port: int, bucket: str) -> tuple[StoreUrl, Settings]:
        chosen = {
            "workers": 2,
            "retry_for_s": 2.0,  # one of the stores asks an endpoint where nobody is
            "state_dir": self._state_dir,
            "multipart_threshold_bytes": self._sizes.multipart_threshold_bytes,
            "part_size_bytes": self._sizes.part_size_bytes,
            "limits": self._sizes.limits,
        }
        return settings_for(f"s3+http://127.0.0.1:{port}/{bucket}", chosen)


def subject_on(client: Any, bucket: str, engines: Engines, sizes: Sizes) -> Subject:
    """Return a store on a bucket that exists."""

    @contextmanager
    def elsewhere(where: Elsewhere) -> Iterator[ObjectStore]:
        yield engines.store(bucket, where)

    return Subject(
        store=engines.store(bucket),
        bucket=bucket,
        elsewhere=elsewhere,
        part_size_bytes=sizes.part_size_bytes,
        multipart_threshold_bytes=sizes.multipart_threshold_bytes,
        large_bytes=sizes.large_bytes,
        max_object_bytes=sizes.limits.max_object_bytes,
        pending_uploads=lambda: [upload["Key"] for upload in pending_on(client, bucket)],
        many_keys=sizes.many_keys,
    )


def pending_on(client: Any, bucket: str) -> list[dict[str, Any]]:
    """Return the multipart uploads that were begun in a bucket and not ended."""
    return list(client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


@contextmanager
def environment(server: RunningServer, changes: dict[str, str]) -> Iterator[None]:
    """Have the server's credentials in the environment, and no others."""
    with mock.patch.dict(os.environ, server.environment() | changes, clear=True):
        yield
