"""Offers jobs to programs without an event loop: each function waits for the one of ``bulkhaul.jobs.aio``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ParamSpec, TypeVar, Unpack

from bulkhaul.engine.facade import Engine
from bulkhaul.jobs import aio
from bulkhaul.jobs.aio import Place
from bulkhaul.jobs.folder.place import opened
from bulkhaul.jobs.job import report_rows as rows_of
from bulkhaul.jobs.sync_options import SyncCounts, SyncOptions
from bulkhaul.jobs.verify_options import VerifyCounts, VerifyOptions
from bulkhaul.model.credentials import CredentialsSource
from bulkhaul.model.results import Progress, RowResult
from bulkhaul.model.rows import ReportRow
from bulkhaul.model.settings import Settings, SettingsFields, with_fields
from bulkhaul.model.verdicts import PairResult
from bulkhaul.model.writing import ObjectOptions

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return a function that waits for an async one, on an event loop in a thread of its own."""

    @functools.wraps(function)
    def wait_for(*args: P.args, **kwargs: P.kwargs) -> T:
        with Engine() as engine:  # it starts no process unless it is asked for something
            return engine.run(functools.partial(function, *args, **kwargs))

    return wait_for


create_job = _blocking(aio.create_job)
job_status = _blocking(aio.job_status)
retry_job = _blocking(aio.retry_job)


def run_job(
    job: Place,
    *,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> Iterator[ReportRow]:
    """Do what is left of a job, and yield the report row of each object as it ends; see ``bulkhaul.jobs.aio``."""
    rows = aio.run_job(job, retry_failed=retry_failed, on_progress=on_progress, credentials=credentials, **fields)
    with Engine() as engine:
        yield from engine.each(rows)


def sync(
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
) -> Iterator[RowResult]:
    """Make a destination have what its source has, and yield the results; see ``bulkhaul.jobs.aio.sync``."""
    results = aio.sync(
        source,
        destination,
        how,
        options=options,
        source_settings=source_settings,
        counts=counts,
        on_progress=on_progress,
        credentials=credentials,
        **fields,
    )
    with Engine() as engine:
        yield from engine.each(results)


def sync_job(
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
) -> Iterator[ReportRow]:
    """Sync as a job, and yield its report rows; see ``bulkhaul.jobs.aio.sync_job``."""
    rows = aio.sync_job(
        job,
        source,
        destination,
        how,
        options=options,
        source_settings=source_settings,
        on_progress=on_progress,
        credentials=credentials,
        **fields,
    )
    with Engine() as engine:
        yield from engine.each(rows)


def verify(
    one: Place,
    other: Place,
    how: VerifyOptions | None = None,
    *,
    source_settings: Settings | None = None,
    counts: VerifyCounts | None = None,
    credentials: CredentialsSource | None = None,
    **fields: Unpack[SettingsFields],
) -> Iterator[PairResult]:
    """Compare two places name by name, and yield the verdicts; see ``bulkhaul.jobs.aio.verify``."""
    verdicts = aio.verify(
        one, other, how, source_settings=source_settings, counts=counts, credentials=credentials, **fields
    )
    with Engine() as engine:
        yield from engine.each(verdicts)


def report_rows(
    job: Place, *, credentials: CredentialsSource | None = None, **fields: Unpack[SettingsFields]
) -> Iterator[ReportRow]:
    """Yield every report row of a job that there is, of all its plans.

    Raises:
        DamagedJob: a file of the job cannot be right.
    """
    with opened(os.fspath(job), with_fields(Settings(), fields), credentials=credentials) as folder:
        yield from rows_of(folder)


__all__ = ["create_job", "job_status", "report_rows", "retry_job", "run_job", "sync", "sync_job", "verify"]
