"""``bulkhaul cp``: what the command line says, checked; it must not know how it is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli import early
from bulkhaul.cli.options import engine_options, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.results import TransferResult

EPILOG = """\b
Examples:
  bulkhaul cp s3://bucket/model.bin /data/
  bulkhaul cp --recursive --exclude '*.tmp' s3://bucket/run-7/ /data/run-7
  bulkhaul cp 's3://bucket/logs/2024-*/*.gz' /data/logs

Patterns: * matches any characters, also "/", and ? matches one. --include and --exclude are matched against the
path below DEST, in any order: a key is taken if one --include matches (or there is none) and no --exclude does.
"""


@click.command("cp", epilog=EPILOG, short_help="Restore one object, a prefix or a pattern to disk.")
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DEST")
@click.option("--recursive", is_flag=True, help="Everything below the prefix SRC.")
@click.option("--include", multiple=True, metavar="PATTERN", help="Only keys that match; may be repeated.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="No keys that match; may be repeated.")
@click.option("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be copied, and touch nothing.")
@engine_options
@click.option("--no-progress", is_flag=True, help="No progress display (there is one on a terminal only).")
@click.option("--quiet", is_flag=True, help="Print errors only.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON an object, and a summary, on stdout.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What to log on stderr.",
)
@click.pass_context
def cp(
    ctx: click.Context,
    /,
    *,
    source: str,
    destination: str,
    recursive: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    no_progress: bool,
    quiet: bool,
    as_json: bool,
    log_level: str,
    **engine: Any,
) -> None:
    """Restore SRC to DEST.

    SRC is s3://bucket/key, s3://bucket/prefix/ with --recursive, or a pattern with * and ?. DEST is a file or, for
    one object, a folder that exists; for several it is a folder, made if it is missing. A file appears under its
    name only when it is whole and verified.

    Credentials, region and endpoint come from the AWS_* variables and files, and from S3_ENDPOINT_URL.
    """
    check_direction(source, destination)
    from bulkhaul.model.errors import TransferError

    try:
        from bulkhaul.policy.selection import parse_source

        many = parse_source(source, recursive=recursive).many
        if (include or exclude) and not many:
            raise click.UsageError("--include and --exclude need --recursive or a pattern.")
        settings = make_settings(engine)
        forkserver = early.take()
    except TransferError as error:
        from bulkhaul.policy.naming import printable

        if error.exit_code == click.UsageError.exit_code:
            raise click.UsageError(printable(str(error))) from error
        click.echo(f"bulkhaul: error: {printable(str(error))}", err=True)
        ctx.exit(error.exit_code)
    from bulkhaul.cli.running import Job, carry_out

    def results(run: Engine) -> Iterator[TransferResult]:
        if many:
            yield from run.download_many(
                source, destination, recursive=recursive, include=include, exclude=exclude, dry_run=dry_run
            )
        elif dry_run:
            yield run.run(run.aio.plan_download, source, destination)
        else:
            yield run.download(source, destination)

    job = Job(
        operation="cp", results=results, source=source, destination=destination, dry_run=dry_run, settings=settings
    )
    ctx.exit(carry_out(job, forkserver, as_json=as_json, quiet=quiet, progress=not no_progress, log_level=log_level))


def check_direction(source: str, destination: str) -> None:
    """Refuse what is not a download, in plain words.

    Raises:
        click.UsageError: SRC is local, or DEST is not.
    """
    if destination.startswith("s3://"):
        what = "copies between buckets" if source.startswith("s3://") else "uploads"
        raise click.UsageError(f"DEST must be a local path: {what} are not there yet, only downloads.")
    if not source.startswith("s3://"):
        raise click.UsageError("SRC must begin with s3://: only downloads are there yet, from S3 to a local path.")
    if destination in ("", "-"):
        raise click.UsageError("DEST must name a file or a folder; writing to stdout is not there yet.")
