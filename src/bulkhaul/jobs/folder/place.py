"""Opens the folder of a job by its name: a path, or ``s3://bucket/prefix``."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import msgspec

from bulkhaul.disk.oserrors import local_error
from bulkhaul.disk.paths import local_path
from bulkhaul.engine.loop.tasks import undisturbed
from bulkhaul.jobs.folder.job_folder import JobFolder
from bulkhaul.jobs.folder.presence import alone_in_bucket, alone_in_folder
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.errors import NotFound, UsageError
from bulkhaul.model.settings import Settings
from bulkhaul.policy.selection import folder_prefix, parse_destination
from bulkhaul.policy.storeurl import StoreUrl
from bulkhaul.store.local import LocalStore
from bulkhaul.store.s3 import S3Store

_CONCURRENCY = 8
"""Requests in flight for the files of a job; its objects have an engine of their own."""


@contextlib.contextmanager
def opened(
    job: str,
    settings: Settings,
    *,
    make: bool = False,
    alone_as: str = "",
    credentials: CredentialsSource | None = None,
) -> Iterator[JobFolder]:
    """Open the folder of a job.

    Args:
        settings: how a bucket is reached.
        make: make a folder of this machine that is not there.
        alone_as: have it for this runner alone, if it is to be changed.
        credentials: what a bucket is asked with; None for what environment, files and profile name.

    Raises:
        JobInUse: another process works at the job.
        NotFound: there is no such folder.
        UsageError: the URL names a whole bucket.
    """
    with contextlib.ExitStack() as stack:
        if job.startswith("s3://"):
            bucket, key = parse_destination(job, "the folder of a job")
            if not key:
                raise UsageError("a job needs a prefix of its own; name one after the bucket", job)
            prefix = folder_prefix(key)
            few = msgspec.structs.replace(settings, workers=1, concurrency=_CONCURRENCY, bandwidth_bytes_per_s=None)
            store = stack.enter_context(S3Store(StoreUrl(scheme="s3", bucket=bucket), few, credentials=credentials))
            if alone_as:
                stack.enter_context(alone_in_bucket(store, prefix, job, alone_as))
            yield JobFolder(store, prefix, job)
            return
        path = os.path.abspath(local_path(job))
        try:
            if make:
                os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise local_error(error, path) from error
        if not os.path.isdir(path):
            raise NotFound("there is no such folder; `bulkhaul job create` makes one", path)
        if alone_as:
            stack.enter_context(alone_in_folder(path))
        yield JobFolder(stack.enter_context(LocalStore(path)), "", path)


@contextlib.asynccontextmanager
async def entered(
    job: str,
    settings: Settings,
    *,
    make: bool = False,
    alone_as: str = "",
    credentials: CredentialsSource | None = None,
) -> AsyncIterator[JobFolder]:
    """Open the folder of a job, as ``opened`` does, without holding up the event loop."""
    place = opened(job, settings, make=make, alone_as=alone_as, credentials=credentials)
    folder = await undisturbed(asyncio.to_thread(place.__enter__), undo=lambda _: place.__exit__(None, None, None))
    try:
        yield folder
    finally:
        await undisturbed(asyncio.to_thread(place.__exit__, None, None, None))
