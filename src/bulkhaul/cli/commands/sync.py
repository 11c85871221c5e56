"""``bulkhaul sync``: its help page and options; it makes the job of them, or explains one key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.aws_options import aws_transfer_options
from bulkhaul.cli.click_extensions import SectionedCommand, section
from bulkhaul.cli.explaining import launch_explanation
from bulkhaul.cli.filter_options import explain_option
from bulkhaul.cli.link_options import followed_options, take_links
from bulkhaul.cli.object_options import (
    object_options,
    preserve_option,
    take_options,
    take_preserve,
    take_preserve_of_files,
)
from bulkhaul.cli.options import (
    filter_options,
    make_settings,
    output_options,
    take_output,
    take_settings,
    transfer_settings_options,
)
from bulkhaul.cli.restore_options import restore_options, take_restore
from bulkhaul.cli.source_options import origin_settings, source_options
from bulkhaul.cli.transfer_arguments import (
    REMAINS,
    STREAM,
    Direction,
    direction_of,
    refuse_misplaced,
    synced_folder,
    two_places,
    without_streams,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.cli.job import Job
    from bulkhaul.engine.facade import Engine
    from bulkhaul.jobs.status import JobStatus
    from bulkhaul.jobs.sync_options import SyncOptions
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.settings import Settings
    from bulkhaul.model.writing import ObjectOptions

EPILOG = """\b
Examples:
  bulkhaul sync s3://bucket/run-7/ /data/run-7
  bulkhaul sync --delete --max-delete 5% results/ s3://bucket/run-7
  bulkhaul sync --compare checksum s3://bucket/run-7/ s3://other/run-7/
  bulkhaul sync --dry-run --exclude '*.tmp' results/ s3://bucket/run-7
  bulkhaul sync --explain a/b.bin results/ s3://bucket/run-7
  bulkhaul sync --delete --job ./monday s3://bucket/run-7/ s3://other/run-7/

SRC and DEST are a prefix or a folder each, whether or not they end in a slash; SRC may be a pattern of s3://.

Equal is what has the same size and, on the way down, the object's time (sync gives each file that time); on the way up,
and between buckets, a destination that is not older. --compare etag or checksum compares bytes instead. What cannot be
told is never equal. With --preserve timestamps, of files whose size is equal and whose time is not, each object is
asked (HEAD) for the time that it keeps: equal is a file with that time.

--delete deletes last, and only if everything could be listed and nothing failed: what cannot be read is not missing.
Filters apply to both sides, so what is excluded is never deleted. Links at DEST are left alone, unless --symlinks store
has them stand for objects NAME.rclonelink; filters take NAME.

--job keeps plan and report in a folder, as `bulkhaul job` does: however this ends, the same command or
`bulkhaul job run` goes on. Deletions wait until every transfer of the job has succeeded.

\b
Exit code: 0 both sides have the same, 1 something failed or was withheld, 2 the command line makes no sense,
130 interrupted.
"""

_selection = section("Selection")
_comparison = section("Comparison")
_deletion = section("Deletion")


@click.command("sync", cls=SectionedCommand, epilog=EPILOG, short_help="Make DEST have what SRC has.")
@click.argument("paths", metavar="SRC DEST", nargs=-1)
@_comparison(
    "--compare",
    default="size,mtime",
    metavar="LIST",
    show_default=True,
    help="What makes a difference: size, mtime, etag, checksum, with commas between them.",
)
@_comparison("--size-only", is_flag=True, help="As --compare size.")
@_comparison("--exact-timestamps", is_flag=True, help="As --compare size,mtime, the default.")
@explain_option(_comparison)
@_deletion("--delete", is_flag=True, help="Delete at DEST what SRC does not have.")
@_deletion(
    "--max-delete",
    default="",
    metavar="N|N%",
    help="At most so many objects, or so much of what DEST has; of more, none is deleted.",
)
@click.option("--job", "job_name", default=None, metavar="JOB", help="Sync as a job in this folder, or go on with it.")
@filter_options
@followed_options
@_selection("--dir-markers", is_flag=True, help="Make empty folders of folder markers, and the other way round.")
@_selection("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be done and why; change nothing.")
@restore_options
@object_options
@preserve_option
@transfer_settings_options
@source_options
@output_options
@aws_transfer_options
@click.pass_context
def sync(
    ctx: click.Context, /, *, paths: tuple[str, ...], explain: str | None, job_name: str | None, **given: Any
) -> None:
    """Make DEST have what SRC has; one of them, or both, is s3://bucket/….

    What is there already is not moved again. Both sides are listed side by side, and the first transfer starts with
    the first page.
    """
    source, destination = without_streams(*two_places(paths))
    direction, source = direction_of(source, destination), synced_folder(source)
    if STREAM in (source, destination):
        raise click.UsageError("sync takes folders and prefixes, not stdin or stdout; use cp.")
    refuse_misplaced(ctx, direction)
    import msgspec

    take_links(given, download=direction is Direction.DOWNLOAD)
    options = _sync_options(ctx, given)
    output = take_output(given)
    stored = take_options(given)
    if direction is not Direction.COPY:
        take_preserve_of_files(given)
    options = msgspec.structs.replace(options, preserve=take_preserve(given, stored))
    settings = make_settings(take_settings(given))
    origin = origin_settings(settings, given)
    if explain is not None:
        from bulkhaul.jobs.explain import explain as explained

        launch_explanation(
            ctx,
            lambda engine, beside: explained(engine, beside, source, destination, explain, options),
            settings,
            origin,
            operation="sync",
            as_json=output["as_json"],
        )
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.launch import launch_job

    if job_name is not None:
        if options.dry_run:
            raise click.UsageError("--dry-run makes no job.")
        launch_job(ctx, _sync_job(job_name, source, destination, options, stored, settings, origin), output)
    from bulkhaul.jobs.sync_options import SyncCounts

    counts = SyncCounts()

    def results(engine: Engine) -> Iterator[TransferResult]:
        from bulkhaul.jobs import syncing

        beside = engine.beside(origin) if origin is not None else None
        yield from syncing.sync(engine, source, destination, options, stored=stored, origin=beside, counts=counts)

    job = Job(
        operation="sync",
        results=results,
        source=source,
        destination=destination,
        dry_run=options.dry_run,
        settings=settings,
        remains=REMAINS[direction],
        restores=counts.restores if options.restore is not None else None,
        seen=lambda: {"compared": counts.compared, "unchanged": counts.unchanged, **counts.costs},
    )
    launch_job(ctx, job, output)


def _sync_options(ctx: click.Context, given: dict[str, Any]) -> SyncOptions:
    """Remove the options of this command from ``given``, and return them.

    Raises:
        click.UsageError: they contradict each other.
        TransferError: one is out of its range.
    """
    from bulkhaul.jobs.sync_options import SyncOptions
    from bulkhaul.policy.comparison import parse_compare
    from bulkhaul.policy.withholding import parse_limit

    compare, size_only, exact = given.pop("compare"), given.pop("size_only"), given.pop("exact_timestamps")
    if size_only + exact + (ctx.get_parameter_source("compare") is click.core.ParameterSource.COMMANDLINE) > 1:
        raise click.UsageError("--compare, --size-only and --exact-timestamps exclude each other.")
    max_delete = given.pop("max_delete")
    if max_delete and not given["delete"]:
        raise click.UsageError("--max-delete needs --delete.")
    if max_delete:
        parse_limit(max_delete)
    parse_compare(compare)
    restore = take_restore(given)
    return SyncOptions(
        restore=restore[0] if restore else None,
        delete=given.pop("delete"),
        max_delete=max_delete,
        compare="size" if size_only else compare,
        include=given.pop("include"),
        exclude=given.pop("exclude"),
        follow_symlinks=given.pop("follow_symlinks") is not False,
        dir_markers=given.pop("dir_markers"),
        dry_run=given.pop("dry_run"),
    )


def _sync_job(
    job_name: str,
    source: str,
    destination: str,
    options: SyncOptions,
    stored: ObjectOptions | None,
    settings: Settings,
    origin: Settings | None,
) -> Job:
    """Return the work of a sync that is a job."""
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.job_lines import command, unfinished_text
    from bulkhaul.jobs.apart import require_apart
    from bulkhaul.jobs.describing import described
    from bulkhaul.model.archives import RestoreCounts

    description = described(
        source, destination, kind="sync", sync=options, options=stored, settings=settings, origin=origin
    )
    require_apart(job_name, description)
    ended: list[JobStatus] = []
    counts = RestoreCounts()

    def results(engine: Engine) -> Iterator[TransferResult]:
        from bulkhaul.cli.job_rows import results_of
        from bulkhaul.jobs import job as jobs
        from bulkhaul.jobs.folder.place import opened
        from bulkhaul.jobs.status import job_status
        from bulkhaul.jobs.sync_run import begin_sync

        beside, name = engine.beside(origin) if origin is not None else None, jobs.runner_name()
        with opened(job_name, settings, make=True, alone_as=name) as folder:
            begin_sync(folder, description)
            run = jobs.run(engine.aio, folder, name=name, origin=beside, counts=counts)
            yield from results_of(engine.each(run))
            ended.append(job_status(folder))

    return Job(
        operation="sync",
        results=results,
        source=source,
        destination=destination,
        dry_run=False,
        settings=settings,
        remains=f"{command('run', job_name)} goes on",
        seen=lambda: {"unchanged": ended[0].unchanged if ended else 0},
        unfinished=lambda: unfinished_text(job_name, ended),
        full_list=f"{command('report', job_name, '--only failed')} lists all of them",
        restores=counts if description.restore is not None else None,
    )
