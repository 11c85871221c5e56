"""A bucket on a real server, as a subject of the suite.

Job: fresh buckets, credentials in the environment, and what the server holds that no store shows. Must not know any
row, nor how a store is made.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

from bulkhaul import ObjectStore
from bulkhaul.model.limits import MIB, S3Limits
from tests.servers import RunningServer
from tests.servers.process import free_ports

from .subjects import Elsewhere, Make, Subject

PART_SIZE_BYTES = 5 * MIB
"""The smallest that servers take."""

LIMITS = S3Limits(max_object_bytes=48 * MIB)

Connect = Callable[..., AbstractContextManager[ObjectStore]]
"""Opens one: ``connect(url, multipart_threshold_bytes=…, part_size_bytes=…, limits=…)``; keys in the environment."""


def on_server(
    start: Callable[[], AbstractContextManager[RunningServer]], connect: Connect, *, many_keys: int = 1500
) -> Callable[[], AbstractContextManager[Make]]:
    """Return what ``StoreUnderTest.running`` needs for a store on a server.

    StoreUnderTest("weed", on_server(weed, connect), WEED)
    """

    @contextmanager
    def running() -> Iterator[Make]:
        with start() as server:
            numbers = itertools.count(1)

            @contextmanager
            def make() -> Iterator[Subject]:
                with (
                    bucket_on(server, f"bucket-{next(numbers)}") as bucket,
                    subject_on(server, bucket, connect, many_keys) as subject,
                ):
                    yield subject

            yield make

    return running


@contextmanager
def bucket_on(server: RunningServer, bucket: str) -> Iterator[str]:
    """Make an empty bucket, and remove it with all that is in it."""
    client = server.client()
    client.create_bucket(Bucket=bucket)
    try:
        yield bucket
    finally:
        for upload in pending_on(client, bucket):
            client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            if doomed := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
                client.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
        client.delete_bucket(Bucket=bucket)


@contextmanager
def subject_on(server: RunningServer, bucket: str, connect: Connect, many_keys: int) -> Iterator[Subject]:
    """Open a store on a bucket that exists."""
    sizes = {"multipart_threshold_bytes": 2 * PART_SIZE_BYTES, "part_size_bytes": PART_SIZE_BYTES, "limits": LIMITS}
    client = server.client()

    @contextmanager
    def elsewhere(where: Elsewhere) -> Iterator[ObjectStore]:
        port = free_ports(1)[0] if where == "unreachable" else server.port
        name = f"{bucket}-missing" if where == "missing" else bucket
        keys = {"AWS_SECRET_ACCESS_KEY": "wrong"} if where == "denied" else {}
        with environment(server, keys), connect(url_of(port, name), **sizes) as store:
            yield store

    with environment(server, {}), connect(url_of(server.port, bucket), **sizes) as store:
        yield Subject(
            store=store,
            bucket=bucket,
            elsewhere=elsewhere,
            part_size_bytes=PART_SIZE_BYTES,
            multipart_threshold_bytes=2 * PART_SIZE_BYTES,
            large_bytes=4 * PART_SIZE_BYTES + 3,
            max_object_bytes=LIMITS.max_object_bytes,
            pending_uploads=lambda: [upload["Key"] for upload in pending_on(client, bucket)],
            many_keys=many_keys,
        )


def url_of(port: int, bucket: str) -> str:
    """Return the URL that a store on this machine is opened by."""
    return f"s3+http://127.0.0.1:{port}/{bucket}"


def pending_on(client: Any, bucket: str) -> list[dict[str, Any]]:
    """Return the multipart uploads that were begun in a bucket and not ended."""
    return list(client.list_multipart_uploads(Bucket=bucket).get("Uploads", []))


@contextmanager
def environment(server: RunningServer, changes: dict[str, str]) -> Iterator[None]:
    """Have the server's credentials in the environment, and no others."""
    with mock.patch.dict(os.environ, server.environment() | changes, clear=True):
        yield
