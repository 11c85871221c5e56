"""``bulkhaul job``: its help pages, and the work of create, run, status and retry."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand, adding, section
from bulkhaul.cli.object_options import object_options, take_options
from bulkhaul.cli.options import (
    checksum_option,
    connection_options,
    fsync_option,
    landing_option,
    log_option,
    make_settings,
    output_options,
    resume_option,
    speed_options,
    take_output,
    take_settings,
    threshold_option,
    verify_option,
)
from bulkhaul.cli.source_options import origin_settings, source_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.jobs.folder.description import JobDescription, Shard
    from bulkhaul.jobs.status import JobStatus
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.rows import ReportRow
    from bulkhaul.model.settings import Settings

EPILOG = """\b
Examples:
  bulkhaul job create ./move s3://old/data/ s3://new/data/ --kind copy
  bulkhaul job run ./move
  bulkhaul job status ./move
  bulkhaul job run ./move --retry-failed

JOB is a folder of plain files: the plan, one row an object, and the report, one row for each row of the plan. It lies
on this machine or, as s3://BUCKET/PREFIX, in a bucket. However a run ends, the next one goes on where it was.
"""

_CREATE = """\b
Examples:
  bulkhaul job create ./move s3://old/data/ s3://new/data/ --kind copy
  bulkhaul job create s3://admin/jobs/restore s3://bucket/run-7/ /data/run-7 --kind copy
  bulkhaul job create ./tidy 's3://bucket/logs/2023-*.gz' --kind delete

SRC is a prefix, cut at a slash, a pattern or a folder, as for `bulkhaul cp --recursive`. Everything below it is listed,
and nothing is moved. If this is interrupted, the same command goes on with the plan; so does `bulkhaul job run`, and
runs it meanwhile.

The job keeps the options that are given here, but no secret: credentials and the key of SSE-C are given to each run.

Exit code: 0 the plan is whole, 1 it failed, 2 the command line makes no sense, 130 interrupted.
"""

_RUN = """\b
Examples:
  bulkhaul job run ./move
  bulkhaul job run ./move --retry-failed --concurrency 64

Ctrl-C is a pause: what was done is in the report, and the next run goes on. Rows whose report was not stored yet when
the program was killed are done again; of uploads and copies it is first looked whether the object is there.
Options that are given here stand in place of those that the job keeps, for this run.

Exit code: 0 every row of the plan succeeded or is skipped, 1 some failed in their last try, 130 paused.
"""

_STATUS = """\b
Examples:
  bulkhaul job status ./move
  bulkhaul job status --json s3://admin/jobs/restore

Of each object its last try counts, so that planned = succeeded + failed + skipped + left.

Exit code: 0 whatever the status is, 1 it cannot be told.
"""

_RETRY = """\b
Example:
  bulkhaul job retry ./move && bulkhaul job run ./move

The rows that failed in their last try become a new plan of the same job, which the next run carries out.

Exit code: 0 it is planned, or nothing failed; 1 the job has not been run to its end.
"""

_job = click.argument("job_name", metavar="JOB")

_selection = section("Selection")

_run_options = adding(verify_option, fsync_option, speed_options, landing_option, connection_options, source_options)


@click.group("job", epilog=EPILOG, short_help="Plan many objects, move them, and account for each.")
def job() -> None:
    """Plan what is to become of many objects, do it, and report what became of each of them."""


@job.command("create", cls=SectionedCommand, epilog=_CREATE, short_help="Make a job, and plan it.")
@click.argument("job_name", metavar="JOB")
@click.argument("places", metavar="SRC [DST]", nargs=-1, required=True)
@click.option(
    "--kind",
    type=click.Choice(["copy", "delete", "restore", "verify"]),
    default="copy",
    show_default=True,
    help="What is done with each object; restore and verify cannot be planned yet.",
)
@_selection("--include", multiple=True, metavar="PATTERN", help="Only what matches; may be repeated.")
@_selection("--exclude", multiple=True, metavar="PATTERN", help="Nothing that matches; may be repeated.")
@_selection(
    "--follow-symlinks/--no-follow-symlinks",
    "follow_symlinks",
    default=None,
    help="Upload what symbolic links lead to, or leave them out.  [default: follow them]",
)
@object_options
@verify_option
@fsync_option
@checksum_option
@resume_option
@speed_options
@threshold_option
@landing_option
@connection_options
@source_options
@click.option("--json", "as_json", is_flag=True, help="The status of the job as one line of JSON.")
@click.pass_context
def create(
    ctx: click.Context, /, *, job_name: str, places: tuple[str, ...], kind: str, as_json: bool, **given: Any
) -> NoReturn:
    """Make JOB of everything below SRC, list it, and write the plan of it."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.jobs.folder.place import entered
    from bulkhaul.jobs.job import described, planned, runner_name
    from bulkhaul.jobs.status import job_status

    if len(places) > 2:
        raise click.UsageError("one SRC and one DST; quote a pattern so that the shell leaves it alone.")
    stored = take_options(given)
    settings = make_settings(take_settings(given))
    origin_chosen = origin_settings(settings, given)
    description = described(
        *places,
        kind=kind,
        include=given["include"],
        exclude=given["exclude"],
        follow_symlinks=given["follow_symlinks"],
        options=stored,
        settings=settings,
        origin=origin_chosen,
    )

    async def work(engine: AsyncEngine, out: Lines) -> int:
        from bulkhaul.engine.aio import AsyncEngine as Other

        async with entered(job_name, settings, make=True, alone_as=runner_name()) as folder:
            await asyncio.to_thread(folder.create, description)
            try:
                if origin_chosen is None:
                    await _planned(planned(engine, folder))
                else:
                    async with Other(origin_chosen) as origin:
                        await _planned(planned(engine, folder, origin=origin))
            except asyncio.CancelledError:
                out.error(f"bulkhaul: the plan is not whole; `bulkhaul job run {job_name}` goes on with it\n")
                raise
            status = await asyncio.to_thread(job_status, folder)
        await out.write(_status_json(status) if as_json else _plan_text(job_name, status))
        return 0

    launch_query(ctx, work, settings, operation="job create", as_json=as_json, workers=2)


@job.command("run", cls=SectionedCommand, epilog=_RUN, short_help="Do what is left of a job.")
@_job
@click.option("--retry-failed", is_flag=True, help="Plan what failed again, and do that too.")
@_run_options
@output_options
@log_option
@click.pass_context
def run(ctx: click.Context, /, *, job_name: str, retry_failed: bool, **given: Any) -> NoReturn:
    """Go on with JOB where its last run ended."""
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.launch import launch_job
    from bulkhaul.jobs import job as jobs
    from bulkhaul.jobs.folder.place import opened
    from bulkhaul.jobs.status import job_status

    output, chosen = take_output(given), take_settings(given)
    reached = make_settings(chosen)
    with opened(job_name, reached) as folder:
        description = folder.description()
    settings = jobs.settings_of(description, _given(chosen, reached))
    origin_chosen = _origin(description, settings, given)
    ended: list[JobStatus] = []

    def results(engine: Engine) -> Iterator[TransferResult]:
        origin = engine.beside(origin_chosen) if origin_chosen is not None else None
        name = jobs.runner_name()
        with opened(job_name, reached, alone_as=name) as folder:
            yield from _results(engine.each(jobs.run(engine.aio, folder, name=name, origin=origin)))
            if retry_failed and engine.run(jobs.retry, folder) is not None:
                yield from _results(engine.each(jobs.run(engine.aio, folder, name=name, origin=origin)))
            ended.append(job_status(folder))

    def unfinished() -> str:
        if not ended or ended[0].ok:
            return ""
        count = ended[0].failed
        return f"{count} object{'s' * (count != 1)} failed; `bulkhaul job run {job_name} --retry-failed` tries again"

    job = Job(
        operation="job",
        results=results,
        source=job_name,
        destination="",
        dry_run=False,
        settings=settings,
        remains=f"`bulkhaul job run {job_name}` goes on",
        unfinished=unfinished,
    )
    launch_job(ctx, job, output)


@job.command("status", cls=SectionedCommand, epilog=_STATUS, short_help="Tell how far a job is.")
@_job
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def status(*, job_name: str, as_json: bool, **connection: Any) -> None:
    """Print how far JOB is, how fast it goes, and when it will be done."""
    from bulkhaul.jobs.folder.place import opened
    from bulkhaul.jobs.status import job_status

    with opened(job_name, make_settings(connection)) as folder:
        told = job_status(folder)
    click.echo(_status_json(told) if as_json else _status_text(job_name, told), nl=False)


@job.command("retry", cls=SectionedCommand, epilog=_RETRY, short_help="Plan again what failed.")
@_job
@connection_options
def retry(*, job_name: str, **connection: Any) -> None:
    """Plan the rows of JOB again that failed in their last try."""
    from bulkhaul.jobs import job as jobs
    from bulkhaul.jobs.folder.place import opened

    settings = make_settings(connection)
    with opened(job_name, settings, alone_as=jobs.runner_name()) as folder:
        plan = asyncio.run(jobs.retry(folder))
    if plan is None:
        click.echo("nothing failed")
    else:
        rows = plan.totals.rows
        click.echo(f"planned {rows} object{'s' * (rows != 1)} again; `bulkhaul job run {job_name}` tries them")


async def _planned(shards: AsyncGenerator[Shard, None]) -> None:
    async with contextlib.aclosing(shards):
        async for _ in shards:
            pass


def _results(rows: Iterator[ReportRow]) -> Iterator[TransferResult]:
    """Yield what the lines of a command are made of."""
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.rows import Status

    for row in rows:
        place = row.destination if row.destination.startswith("s3://") else row.source
        bucket, _, key = place.removeprefix("s3://").partition("/") if place.startswith("s3://") else ("", "", "")
        yield TransferResult(
            source=row.source,
            destination=row.destination,
            bucket=bucket,
            key=key,
            size_bytes=row.size_bytes or 0,
            etag=row.etag,
            version_id=row.version_id,
            integrity=row.integrity,
            seconds=row.seconds,
            skipped=row.reason or "nothing was to be done" if row.status is Status.SKIPPED else "",
            failure=row.error,
        )


def _given(chosen: dict[str, Any], reached: Settings) -> dict[str, Any]:
    """Return the settings of the command line; those that were not given are the job's."""
    names = [name for name, value in chosen.items() if value is not None and name != "sse_c"]
    return {name: getattr(reached, name) for name in names}


def _origin(description: JobDescription, settings: Settings, given: dict[str, Any]) -> Settings | None:
    """Return the settings for the source of a copy: the command line's, else the job's, None where there are none."""
    from bulkhaul.jobs.job import settings_of

    if description.origin is None:
        return origin_settings(settings, given)
    kept = settings_of(description, {"sse_c_key": settings.sse_c_key} if description.sse_c else {}, origin=True)
    return origin_settings(kept, given) or kept


def _status_json(status: JobStatus) -> str:
    import msgspec

    from bulkhaul.cli.lines import json_text

    return json_text({"operation": "job status", "complete": status.complete, **msgspec.structs.asdict(status)})


def _plan_text(name: str, status: JobStatus) -> str:
    from bulkhaul.policy.sizes import format_size

    rows = status.planned_rows
    text = f"planned {rows} object{'s' * (rows != 1)}, {format_size(status.planned_bytes)}\n"
    for operation, count in status.requests.items():
        text += f"  {operation}: {count}\n"
    if status.archived_rows:
        text += f"  in an archive: {status.archived_rows} objects, {format_size(status.archived_bytes)}\n"
    return f"{text}`bulkhaul job run {name}` carries it out\n"


def _status_text(name: str, status: JobStatus) -> str:
    from datetime import timedelta

    from bulkhaul.policy.sizes import format_size

    planned = f"{status.planned_rows} planned" + ("" if status.planning_done else " so far")
    counts = f"{status.succeeded} succeeded, {status.failed} failed, {status.skipped} skipped, {status.left} left"
    text = f"{planned} = {counts}\n{format_size(status.done_bytes)} of {format_size(status.planned_bytes)}"
    if status.rows_per_s:
        text += f", {status.rows_per_s:.1f} objects/s, {format_size(round(status.bytes_per_s))}/s"
    if status.left and status.eta_s is not None:
        text += f", ETA {timedelta(seconds=round(status.eta_s))}"
    text += "\n"
    if status.left or not status.planning_done:
        text += f"`bulkhaul job run {name}` goes on\n"
    elif status.failed:
        text += f"`bulkhaul job run {name} --retry-failed` tries again what failed\n"
    return text
