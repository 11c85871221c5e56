"""Offers jobs to programs without an event loop: each function waits for the one of ``bulkhaul.jobs.aio``."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, ParamSpec, TypeVar, Unpack

from bulkhaul.engine.facade import Engine
from bulkhaul.jobs import aio
from bulkhaul.jobs.folder.place import opened
from bulkhaul.jobs.job import report_rows as rows_of
from bulkhaul.jobs.sync_options import SyncOptions
from bulkhaul.jobs.verify_options import VerifyOptions
from bulkhaul.model.results import Progress, RowResult
from bulkhaul.model.rows import ReportRow
from bulkhaul.model.settings import Settings, SettingsFields, with_fields
from bulkhaul.model.verdicts import PairResult

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
    job: str | os.PathLike[str],
    *,
    retry_failed: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    **fields: Unpack[SettingsFields],
) -> Iterator[ReportRow]:
    """Do what is left of a job, and yield the report row of each object as it ends; see ``bulkhaul.jobs.aio``."""
    with Engine() as engine:
        yield from engine.each(aio.run_job(job, retry_failed=retry_failed, on_progress=on_progress, **fields))


def sync(
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    how: SyncOptions | None = None,
    **given: Any,
) -> Iterator[RowResult]:
    """Make a destination have what its source has, and yield the results; see ``bulkhaul.jobs.aio.sync``."""
    with Engine() as engine:
        yield from engine.each(aio.sync(source, destination, how, **given))


def sync_job(
    job: str | os.PathLike[str],
    source: str | os.PathLike[str],
    destination: str | os.PathLike[str],
    how: SyncOptions | None = None,
    **given: Any,
) -> Iterator[ReportRow]:
    """Sync as a job, and yield its report rows; see ``bulkhaul.jobs.aio.sync_job``."""
    with Engine() as engine:
        yield from engine.each(aio.sync_job(job, source, destination, how, **given))


def verify(
    one: str | os.PathLike[str],
    other: str | os.PathLike[str],
    how: VerifyOptions | None = None,
    **given: Any,
) -> Iterator[PairResult]:
    """Compare two places name by name, and yield the verdicts; see ``bulkhaul.jobs.aio.verify``."""
    with Engine() as engine:
        yield from engine.each(aio.verify(one, other, how, **given))


def report_rows(job: str | os.PathLike[str], **fields: Unpack[SettingsFields]) -> Iterator[ReportRow]:
    """Yield every report row of a job that there is, of all its plans.

    Raises:
        DamagedJob: a file of the job cannot be right.
    """
    with opened(os.fspath(job), with_fields(Settings(), fields)) as folder:
        yield from rows_of(folder)


__all__ = ["create_job", "job_status", "report_rows", "retry_job", "run_job", "sync", "sync_job", "verify"]
