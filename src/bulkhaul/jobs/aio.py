"""Offers jobs to asyncio programs, each function by the name of the job's folder: a path, or ``s3://bucket/prefix``.

``fields`` are fields of ``Settings``, by name. A job keeps those that it is made with; those of a run stand in their
place. The folder of a job is reached with those that the function is given.

``credentials`` are as for ``AsyncEngine``, for the folder of a job, too. A job keeps none, so that each call needs
them. What ``source_settings`` are for finds its own.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Unpack

from bulkhaul.engine.aio import AsyncEngine
from bulkhaul.jobs import job as work
from bulkhaul.jobs.apart import require_apart
from bulkhaul.jobs.describing import described, settings_of
from bulkhaul.jobs.folder.place import entered
from bulkhaul.jobs.status import JobStatus
from bulkhaul.jobs.status import job_status as status_of
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.sync_run import begin_sync
from bulkhaul.jobs.syncing import sync_async
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.jobs.verifying import verify_async as compared
from bulkhaul.model.archives import RestoreOptions
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.preserving import Kept
from bulkhaul.model.results import Progress, RowResult
from bulkhaul.model.rows import ReportRow
from bulkhaul.model.settings import Settings, SettingsFields, with_fields
from bulkhaul.model.verdicts import PairResult
from bulkhaul.model.writing import ObjectOptions

Place = str | os.PathLike[str]


async def create_job(
    job: Place,
    source: Place = "",
    destination: Place = "",
    *,
    kind: str = "copy",
    manifests: Sequence[Place] = (),
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_symlinks: bool | None = None,
    all_versions: bool = False,
    options: ObjectOptions | None = None,
    preserve: Collection[Kept] = (),
    comparison: VerifyOptions | None = None,
    restore: RestoreOptions | None = None,
    source_settings: Settings | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> JobStatus:
    """Make a job of everything below ``source``, plan it, and return what the plan comes to.

    Cancelled, it has written a part of the plan; the same call, or a run, goes on with it.

    Args:
        kind: ``copy``, ``delete``, ``verify``: ``source`` is compared with ``destination``; or ``restore``: what is
            archived is brought back, and without a destination nothing is moved.
        manifests: paths and objects that list what the job is about, in place of ``source``.
        all_versions: copy every version and delete marker; see ``AsyncEngine.copy_versions``.
        options: how objects are stored; see ``AsyncEngine.copy_many``.
        preserve: what copies between buckets keep, or fail.
        comparison: how a job of the kind ``verify`` compares.
        restore: how archived objects are brought back; None leaves each of them a failure, but in a restore.
        source_settings: those for the source, where they are others.

    Raises:
        UsageError: it cannot mean anything, the folder is a part of what the job is about, or has another job.
        JobInUse: another process works at the job.
        NotFound: nothing is selected.
        TransferError: the listing failed, or the folder refused.
    """
    chosen = with_fields(Settings(), fields)
    description = described(
        os.fspath(source),
        os.fspath(destination),
        kind=kind,
        manifests=[os.fspath(name) for name in manifests],
        include=include,
        exclude=exclude,
        follow_symlinks=follow_symlinks,
        all_versions=all_versions,
        options=options,
        preserve=preserve,
        comparison=comparison,
        restore=restore,
        settings=chosen,
        origin=source_settings,
    )
    require_apart(os.fspath(job), description)
    async with entered(
        os.fspath(job), chosen, make=True, alone_as=work.runner_name(), credentials=credentials
    ) as folder:
        await asyncio.to_thread(folder.create, description)
        async with _engines(chosen, source_settings, credentials=credentials) as (engine, origin):
            async with aclosing(work.planned(engine, folder, origin=origin)) as shards:
                async for _ in shards:
                    pass
        return await asyncio.to_thread(status_of, folder)


async def run_job(
    job: Place,
    *,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> AsyncGenerator[ReportRow, None]:
    """Do what is left of a job, and yield the report row of each object as it ends.

    Cancelling it, or leaving the loop over it, is a pause: the report has everything that was done.

    Args:
        retry_failed: at the end, plan what failed again, and do that too.
        on_progress: see ``AsyncEngine``.

    Raises:
        JobInUse: another process works at the job.
        DamagedJob: a file of the job cannot be right.
        TransferError: the plan, the work or the report cannot go on; the next run does what is left.
    """
    name = work.runner_name()
    async with entered(
        os.fspath(job), with_fields(Settings(), fields), alone_as=name, credentials=credentials
    ) as folder:
        description = await asyncio.to_thread(folder.description)
        chosen = settings_of(description, fields)
        secret = {"sse_c_key": chosen.sse_c_key} if description.sse_c else {}
        other = None if description.origin is None else settings_of(description, secret, origin=True)
        async with _engines(chosen, other, on_progress, credentials=credentials) as (engine, origin):
            again = retry_failed
            while True:
                async with aclosing(work.run(engine, folder, name=name, origin=origin)) as rows:
                    async for row in rows:
                        yield row
                if not again or await work.retry(folder) is None:
                    return
                again = False


async def sync(
    source: Place,
    destination: Place,
    how: SyncOptions | None = None,
    *,
    options: ObjectOptions | None = None,
    source_settings: Settings | None = None,
    counts: SyncCounts | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> AsyncGenerator[RowResult, None]:
    """Make a destination have what its source has, without a job, and yield the result of each object that differs.

    Args:
        options: how objects are stored; see ``AsyncEngine.copy_many``.
        source_settings: those for the source of a copy, where they are others.
        counts: is kept up to date.

    Raises:
        UsageError: source and destination make no sense together.
        OtherError: what was to be deleted was withheld; the message says why, and what to do.
        TransferError: a side cannot be listed; then nothing was deleted.
    """
    async with _engines(with_fields(Settings(), fields), source_settings, on_progress, credentials=credentials) as (
        engine,
        origin,
    ):
        results = sync_async(engine, source, destination, how, stored=options, origin=origin, counts=counts)
        async with aclosing(results):
            async for result in results:
                yield result


async def sync_job(
    job: Place,
    source: Place,
    destination: Place,
    how: SyncOptions | None = None,
    *,
    options: ObjectOptions | None = None,
    source_settings: Settings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> AsyncGenerator[ReportRow, None]:
    """Sync as a job: make the folder of a job, or go on with the one that is there, and yield its report rows.

    Deletions come when every transfer of the job has succeeded; till then each of them fails with the reason, and a
    retry of what failed tries them, too. ``run_job`` goes on with the job as well.

    Args:
        options, source_settings: as for ``sync``.

    Raises:
        UsageError: it makes no sense, or the folder holds another job, or one that is done.
        JobInUse: another process works at the job.
        DamagedJob: a file of the job cannot be right.
        TransferError: a side cannot be listed, or the work or the report cannot go on; the same call goes on.
    """
    chosen, name = with_fields(Settings(), fields), work.runner_name()
    description = described(
        os.fspath(source),
        os.fspath(destination),
        kind="sync",
        sync=how or SyncOptions(),
        options=options,
        settings=chosen,
        origin=source_settings,
    )
    require_apart(os.fspath(job), description)
    async with entered(os.fspath(job), chosen, make=True, alone_as=name, credentials=credentials) as folder:
        await asyncio.to_thread(begin_sync, folder, description)
        async with _engines(chosen, source_settings, on_progress, credentials=credentials) as (engine, origin):
            async with aclosing(work.run(engine, folder, name=name, origin=origin)) as rows:
                async for row in rows:
                    yield row


async def verify(
    one: Place,
    other: Place,
    how: VerifyOptions | None = None,
    *,
    source_settings: Settings | None = None,
    counts: VerifyCounts | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> AsyncGenerator[PairResult, None]:
    """Compare what is below two places, or one object or file of each, and yield the verdict on each name.

    Nothing is changed. What cannot be looked at is undecidable, and never equal.

    Args:
        source_settings: those for the first place, where they are others.
        counts: is kept up to date.

    Raises:
        UsageError: the options, or the places, make no sense together.
        NotFound: neither place has anything that is selected.
        LocalError: the certificate cannot be written.
        TransferError: a place cannot be listed.
    """
    async with _engines(with_fields(Settings(), fields), source_settings, credentials=credentials) as (engine, origin):
        async with aclosing(compared(engine, one, other, how, origin=origin, counts=counts)) as results:
            async for result in results:
                yield result


verify_async = verify
"""Its name in ``bulkhaul.jobs``, beside the function that waits."""


async def job_status(
    job: Place, *, credentials: CredentialsSource | None = None, **fields: Unpack[SettingsFields]
) -> JobStatus:
    """Return how far a job is, without a look at its rows.

    Raises:
        NotFound: there is no such job.
        DamagedJob: a file of it cannot be right.
    """
    async with entered(os.fspath(job), with_fields(Settings(), fields), credentials=credentials) as folder:
        return await asyncio.to_thread(status_of, folder)


async def retry_job(
    job: Place, *, credentials: CredentialsSource | None = None, **fields: Unpack[SettingsFields]
) -> int:
    """Plan the rows of a job again that failed in their last try, and return how many they are.

    Raises:
        UsageError: the job has not been run to its end.
        JobInUse: another process works at it.
    """
    async with entered(
        os.fspath(job), with_fields(Settings(), fields), alone_as=work.runner_name(), credentials=credentials
    ) as folder:
        plan = await work.retry(folder)
    return 0 if plan is None else plan.totals.rows


@asynccontextmanager
async def _engines(
    settings: Settings,
    other: Settings | None,
    on_progress: Callable[[Progress], None] | None = None,
    *,
    credentials: CredentialsSource | None,
) -> AsyncIterator[tuple[AsyncEngine, AsyncEngine | None]]:
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            AsyncEngine(settings, credentials=credentials, on_progress=on_progress)
        )
        origin = None if other is None else await stack.enter_async_context(AsyncEngine(other))
        yield engine, origin
