"""``bulkhaul rm``: its help page, options and job."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.aws_options import page_size_option
from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.explaining import launch_explanation
from bulkhaul.cli.file_list import list_options, take_list
from bulkhaul.cli.filter_options import explain_option, filter_options
from bulkhaul.cli.options import (
    connection_options,
    make_settings,
    output_options,
    take_output,
    take_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.model.results import TransferResult
    from bulkhaul.policy.selection import Source

EPILOG = """\b
Examples:
  bulkhaul rm s3://bucket/old.bin s3://bucket/older.bin
  bulkhaul rm --dry-run --recursive s3://bucket/run-7/
  bulkhaul rm --recursive --exclude '*.json' s3://bucket/run-7/
  bulkhaul rm 's3://bucket/logs/2023-*.gz'
  bulkhaul rm --all-versions --recursive s3://bucket/run-7/
  bulkhaul rm --files-from keys.txt s3://bucket/run-7/

A prefix ends at a slash: --recursive s3://bucket/run deletes run/a, not running.txt. Patterns: * matches any
characters, also "/", and ? matches one; quote them. --include and --exclude are matched against the path below the
prefix (of one key: its last name), and the last one that matches wins, as `bulkhaul cp --help` says; --explain KEY says
which one decides about a key. Without --recursive s3://bucket/run-7/ is the folder marker, one object. Deletes
go in batches of 1,000; a key that is refused is reported, and the others go on.

Lists: a line is a key relative to the one prefix that is given, or a whole s3:// URL, and is taken literally. Empty
lines and lines that begin with # are passed over, but not by --files-from0.

In a bucket with versions, a plain rm hides the object behind a delete marker; --all-versions and --version-id delete
for good.

\b
Exit code: 0 everything is gone, 1 something was refused or a pattern matched nothing, 2 wrong command line.
That a named key does not exist is no error: S3 does not tell. A prefix that nothing lies below is no error, either.
"""


@click.command("rm", cls=SectionedCommand, epilog=EPILOG, short_help="Delete keys, prefixes or patterns.")
@click.argument("urls", metavar="s3://BUCKET/KEY...", nargs=-1)
@click.option("--recursive", "-r", is_flag=True, help="Everything below the prefix.")
@filter_options(click.option)
@list_options(click.option, "the one s3:// prefix that is given, or whole URLs")
@explain_option(click.option)
@click.option("--all-versions", is_flag=True, help="Every version and delete marker of what matches, for good.")
@click.option("--version-id", default="", metavar="ID", help="That version of one key, for good.")
@click.option("--raw", is_flag=True, help="* and ?, and a slash at the end, stand for themselves.")
@click.option("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@connection_options
@page_size_option
@output_options
@click.pass_context
def rm(
    ctx: click.Context,
    /,
    *,
    urls: tuple[str, ...],
    recursive: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    all_versions: bool,
    version_id: str,
    raw: bool,
    explain: str | None,
    dry_run: bool,
    **given: Any,
) -> None:
    """Delete objects from S3."""
    from bulkhaul.policy.selection import parse_destination, parse_source

    listed = take_list(ctx, given)
    output, connection = take_output(given), take_settings(given)
    if listed is not None and len(urls) > 1:
        raise click.UsageError("the lines of a list are relative to one prefix; give one, or none for whole URLs.")
    if listed is None and not urls:
        raise click.UsageError("Missing argument 's3://BUCKET/KEY...'.")
    if listed is not None and urls:
        parse_destination(urls[0], "what keys are relative to")
    named = urls if listed is None else ()
    sources = tuple(parse_source(url, recursive=recursive, literal=raw, marker=True) for url in named)
    many = any(source.many for source in sources)
    if version_id and (many or all_versions or len(sources) > 1):
        raise click.UsageError("--version-id needs exactly one key, and nothing that selects more.")
    settings = make_settings(connection | {"workers": 1, "concurrency": 2})
    if explain is not None:
        from bulkhaul.engine.operations.delete_many import Deletion
        from bulkhaul.jobs.explain_chosen import explain_deletion

        deletion = Deletion(sources=sources, all_versions=all_versions, include=include, exclude=exclude)
        told = partial(explain_deletion, deletion=deletion, key=explain)
        launch_explanation(
            ctx, lambda engine, _: told(engine.control), settings, None, operation="rm", as_json=output["as_json"]
        )

    def results(engine: Engine) -> Iterator[TransferResult]:
        if listed is not None:
            from bulkhaul.jobs.file_list import listed_rows
            from bulkhaul.model.rows import Action

            rows = listed_rows(listed[0], Action.DELETE, *urls or [""], nul=listed[1])
            yield from engine.delete_rows(rows, dry_run=dry_run)
            return
        yield from engine.delete_many(
            tuple(marker(source) or url for url, source in zip(urls, sources, strict=True)),
            recursive=recursive,
            literal=raw,
            include=include,
            exclude=exclude,
            all_versions=all_versions,
            version_id=version_id,
            dry_run=dry_run,
        )

    from bulkhaul.cli.job import Job
    from bulkhaul.cli.launch import launch_job

    job = Job(
        operation="rm",
        results=results,
        source=urls[0] if urls else "",
        destination="",
        dry_run=dry_run,
        settings=settings,
        remains="what was reported as deleted is gone",
        note="" if raw else marker_note(sources),
        nothing=_nothing(filtered=bool(include or exclude), dry_run=dry_run),
    )
    launch_job(ctx, job, output)


def _nothing(*, filtered: bool, dry_run: bool) -> str:
    """Return what people are told where nothing was to be deleted."""
    what = "nothing would be deleted" if dry_run else "nothing was deleted"
    why = "nothing is there, or --include and --exclude leave out all that is" if filtered else "nothing is there"
    return f"{what}: {why}"


def marker(source: Source) -> ObjectRef | None:
    """Return the one object that a URL with a slash at its end names, None of any other URL."""
    from bulkhaul.model.objects import ObjectRef

    return ObjectRef(source.bucket, source.key) if source.key.endswith("/") else None


def marker_note(sources: Sequence[Source]) -> str:
    """Return what people are told where a folder marker is deleted: many who type a folder mean what is in it."""
    from bulkhaul.policy.naming import printable

    marks = [printable(source.url) for source in sources if marker(source)]
    if not marks:
        return ""
    return f"{', '.join(marks)}: only the folder marker; what lies below stays, and --recursive deletes it, too"
