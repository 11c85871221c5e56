"""``bulkhaul job``: its help pages, and the work of create, run, status and retry."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import HelpGroup, SectionedCommand, adding, section
from bulkhaul.cli.comparison_options import comparison_options, take_comparison
from bulkhaul.cli.link_options import followed_options, take_links
from bulkhaul.cli.object_options import (
    object_options,
    preserve_option,
    take_options,
    take_preserve,
    take_preserve_of_files,
)
from bulkhaul.cli.options import (
    connection_options,
    filter_options,
    fsync_option,
    landing_option,
    make_settings,
    output_options,
    sparse_option,
    speed_options,
    take_output,
    take_settings,
    transfer_settings_options,
    verify_option,
)
from bulkhaul.cli.restore_options import restore_options, take_restore
from bulkhaul.cli.source_options import origin_settings, source_options

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.jobs.folder.description import JobDescription, Shard
    from bulkhaul.jobs.reports.writing import ReportFormat
    from bulkhaul.jobs.status import JobStatus
    from bulkhaul.model.results import TransferResult
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
  bulkhaul job create ./back --manifest list.csv --to /data/back --kind copy
  bulkhaul job create ./check s3://old/data/ s3://new/data/ --kind verify

SRC is a prefix, cut at a slash, a pattern or a folder, as for `bulkhaul cp --recursive`. Everything below it is listed,
and nothing is moved. If this is interrupted, the same command goes on with the plan; so does `bulkhaul job run`. Of
verify both places are listed, and each name that either has is planned; its run says what is equal.

A manifest is JSON Lines, CSV as S3 Batch Operations takes it, an S3 Inventory (its manifest.json), Parquet or ORC, or
the report of a job, of which the failed rows are taken. It may have to be read again, so it should stay where it is.

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

_REPORT = """\b
Examples:
  bulkhaul job report ./move --format csv > move.csv
  bulkhaul job report ./move --only failed
  bulkhaul job report ./move --format html --output move.html

Rows of all plans are written: an object that was retried has one row for each try. JSON Lines hold everything, and are
a manifest of `bulkhaul job create`. Parquet needs the extra bulkhaul[parquet].

Exit code: 0 it is written, whatever it says; 1 it cannot be written, or a file of the job is damaged.
"""

_job = click.argument("job_name", metavar="JOB")
_selection = section("Selection")

_run_options = adding(
    verify_option, fsync_option, speed_options, landing_option, sparse_option, connection_options, source_options
)


@click.group("job", cls=HelpGroup, epilog=EPILOG, short_help="Plan many objects, move them, and account for each.")
def job() -> None:
    """Plan what is to become of many objects, do it, and report what became of each of them."""


@job.command("create", cls=SectionedCommand, epilog=_CREATE, short_help="Make a job, and plan it.")
@click.argument("job_name", metavar="JOB")
@click.argument("places", metavar="[SRC [DST]]", nargs=-1)
@click.option(
    "--kind",
    type=click.Choice(["copy", "delete", "restore", "verify"]),
    default="copy",
    show_default=True,
    help="What is done with each object; restore without DST moves nothing, verify compares SRC with DST.",
)
@_selection(
    "--manifest",
    "manifests",
    multiple=True,
    metavar="FILE",
    help="Take the objects that FILE lists, a path or an object, in place of SRC; may be repeated.",
)
@_selection("--to", default="", metavar="DST", help="Where the objects of manifests go.")
@filter_options
@followed_options
@_selection(
    "--all-versions",
    is_flag=True,
    help="Between buckets: every version and delete marker, oldest first; DST keeps versions.",
)
@comparison_options
@restore_options
@object_options
@preserve_option
@transfer_settings_options
@source_options
@click.option("--json", "as_json", is_flag=True, help="The status of the job as one line of JSON.")
@click.pass_context
def create(
    ctx: click.Context, /, *, job_name: str, places: tuple[str, ...], kind: str, as_json: bool, **given: Any
) -> NoReturn:
    """Make JOB of everything below SRC, list it, and write the plan of it."""
    import asyncio

    from bulkhaul.cli.job_lines import command, plan_text, status_json
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.jobs.apart import require_apart
    from bulkhaul.jobs.describing import described
    from bulkhaul.jobs.folder.place import entered
    from bulkhaul.jobs.job import planned, runner_name
    from bulkhaul.jobs.status import job_status

    if len(places) > 2:
        raise click.UsageError("one SRC and one DST; quote a pattern so that the shell leaves it alone.")
    if bool(places) == bool(given["manifests"]):
        raise click.UsageError("name SRC and DST, or --manifest FILE and --to DST.")
    if given["to"] and places:
        raise click.UsageError("--to goes with --manifest; name DST after SRC.")
    if given["manifests"] and (given["include"] or given["exclude"]):
        raise click.UsageError("--include and --exclude select below SRC; a manifest names what is taken.")
    source, destination = (*places, "", "")[:2] if places else ("", given["to"])
    from_s3, to_s3 = bool(given["manifests"]) or source.startswith("s3://"), destination.startswith("s3://")
    take_links(given, download=from_s3)
    if given["links_stored"]:
        given["follow_symlinks"] = None
    stored, restore, comparison = take_options(given), take_restore(given), take_comparison(given, kind)
    if destination and kind != "verify" and not (from_s3 and to_s3):
        take_preserve_of_files(given)
    settings = make_settings(take_settings(given))
    origin_chosen = origin_settings(settings, given)
    description = described(
        source,
        destination,
        kind=kind,
        **{name: given[name] for name in ("manifests", "include", "exclude", "follow_symlinks", "all_versions")},
        options=stored,
        preserve=take_preserve(given, stored),
        restore=restore[0] if restore else None,
        comparison=comparison,
        settings=settings,
        origin=origin_chosen,
    )
    require_apart(job_name, description)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        from bulkhaul.engine.aio import AsyncEngine as Other

        async with entered(job_name, settings, make=True, alone_as=runner_name()) as folder:
            await asyncio.to_thread(folder.create, description)
            try:
                async with Other(origin_chosen) if origin_chosen else contextlib.nullcontext() as origin:
                    await _planned(planned(engine, folder, origin=origin))
            except asyncio.CancelledError:
                if not as_json:
                    out.error(f"bulkhaul: the plan is not whole; {command('run', job_name)} goes on with it\n")
                raise
            status = await asyncio.to_thread(job_status, folder)
        await out.write(status_json(status) if as_json else plan_text(job_name, status))
        return 0

    launch_query(ctx, work, settings, operation="job create", as_json=as_json, workers=2)


@job.command("run", cls=SectionedCommand, epilog=_RUN, short_help="Do what is left of a job.")
@_job
@click.option("--retry-failed", is_flag=True, help="Plan what failed again, and do that too.")
@_run_options
@output_options
@click.pass_context
def run(ctx: click.Context, /, *, job_name: str, retry_failed: bool, **given: Any) -> NoReturn:
    """Go on with JOB where its last run ended."""
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.job_lines import command, unfinished_text
    from bulkhaul.cli.job_rows import results_of
    from bulkhaul.cli.launch import launch_job
    from bulkhaul.jobs import job as jobs
    from bulkhaul.jobs.describing import settings_of
    from bulkhaul.jobs.folder.place import opened
    from bulkhaul.jobs.status import job_status
    from bulkhaul.model.archives import RestoreCounts

    output, chosen = take_output(given), take_settings(given)
    reached = make_settings(chosen)
    with opened(job_name, reached) as folder:
        description = folder.description()
    settings = settings_of(description, _given(chosen, reached))
    origin_chosen = _origin(description, settings, given)
    ended: list[JobStatus] = []
    counts = RestoreCounts()

    def results(engine: Engine) -> Iterator[TransferResult]:
        origin, name = engine.beside(origin_chosen) if origin_chosen is not None else None, jobs.runner_name()
        with opened(job_name, reached, alone_as=name) as folder:
            how = functools.partial(jobs.run, engine.aio, folder, name=name, origin=origin, counts=counts)
            yield from results_of(engine.each(how()))
            if retry_failed and engine.run(jobs.retry, folder) is not None:
                yield from results_of(engine.each(how()))
            ended.append(job_status(folder))

    job = Job(
        operation="job",
        results=results,
        source=job_name,
        destination="",
        dry_run=False,
        settings=settings,
        remains=f"{command('run', job_name)} goes on",
        unfinished=lambda: unfinished_text(job_name, ended),
        full_list=f"{command('report', job_name, '--only failed')} lists all of them",
        restores=counts if description.restore is not None else None,
        seen=None if description.comparison is None else lambda: ended[0].verdicts if ended else {},
    )
    launch_job(ctx, job, output)


@job.command("status", cls=SectionedCommand, epilog=_STATUS, short_help="Tell how far a job is.")
@_job
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def status(*, job_name: str, as_json: bool, **connection: Any) -> None:
    """Print how far JOB is, how fast it goes, and when it will be done."""
    from bulkhaul.cli.job_lines import status_json, status_text
    from bulkhaul.jobs.folder.place import opened
    from bulkhaul.jobs.status import job_status

    with opened(job_name, make_settings(connection)) as folder:
        told = job_status(folder)
    click.echo(status_json(told) if as_json else status_text(job_name, told), nl=False)


@job.command("retry", cls=SectionedCommand, epilog=_RETRY, short_help="Plan again what failed.")
@_job
@connection_options
def retry(*, job_name: str, **connection: Any) -> None:
    """Plan the rows of JOB again that failed in their last try."""
    import asyncio

    from bulkhaul.cli.job_lines import command
    from bulkhaul.jobs import job as jobs
    from bulkhaul.jobs.folder.place import opened

    settings = make_settings(connection)
    with opened(job_name, settings, alone_as=jobs.runner_name()) as folder:
        plan = asyncio.run(jobs.retry(folder))
    if plan is None:
        click.echo("nothing failed")
    else:
        rows = plan.totals.rows
        click.echo(f"planned {rows} object{'s' * (rows != 1)} again; {command('run', job_name)} tries them")


@job.command("report", cls=SectionedCommand, epilog=_REPORT, short_help="Write what became of each object.")
@_job
@click.option(
    "--format",
    "report_format",
    type=click.Choice(["jsonl", "csv", "batch-csv", "parquet", "html"]),
    default="jsonl",
    show_default=True,
    help="How it is written.",
)
@click.option("--output", "-o", metavar="FILE", help="A file, which appears whole.  [default: stdout]")
@click.option(
    "--only",
    type=click.Choice(["succeeded", "failed", "skipped"]),
    multiple=True,
    help="Only objects that ended so; may be repeated.",
)
@connection_options
def report(
    *, job_name: str, report_format: ReportFormat, output: str | None, only: tuple[str, ...], **connection: Any
) -> None:
    """Write the report of JOB: one row for each row of its plans that has ended."""
    import sys
    import time

    from bulkhaul.cli.standard_streams import named_stdout, require_stdout
    from bulkhaul.disk.whole_files import whole_file
    from bulkhaul.jobs.folder.place import opened
    from bulkhaul.jobs.job import report_rows
    from bulkhaul.jobs.reports.reported_job import ReportedJob
    from bulkhaul.jobs.reports.writing import write_report
    from bulkhaul.model.rows import Status

    if output is None or output == "-" or named_stdout(output):
        output = None
        require_stdout()
    with opened(job_name, make_settings(connection)) as folder:
        made, plans = folder.description(), folder.plans()
        told = ReportedJob(
            name=job_name,
            kind=made.kind,
            source=made.source or ", ".join(made.manifests),
            destination=made.destination,
            planned={plan.plan: plan.totals.rows for plan in plans},
            planning=not plans,
            written_s=time.time(),
        )
        with whole_file(output) if output else contextlib.nullcontext(sys.stdout.buffer) as out:
            write_report(report_rows(folder), report_format, out, job=told, only=[Status(one) for one in only])


async def _planned(shards: AsyncGenerator[Shard, None]) -> None:
    async with contextlib.aclosing(shards):
        async for _ in shards:
            pass


def _given(chosen: dict[str, Any], reached: Settings) -> dict[str, Any]:
    """Return the settings of the command line; those that were not given are the job's."""
    names = [name for name, value in chosen.items() if value is not None and name != "sse_c"]
    return {name: getattr(reached, name) for name in names}


def _origin(description: JobDescription, settings: Settings, given: dict[str, Any]) -> Settings | None:
    """Return the settings for the source of a copy: the command line's, else the job's, None where there are none."""
    from bulkhaul.jobs.describing import settings_of

    if description.origin is None:
        return origin_settings(settings, given)
    kept = settings_of(description, {"sse_c_key": settings.sse_c_key} if description.sse_c else {}, origin=True)
    return origin_settings(kept, given) or kept
