"""``bulkhaul pipe``: its help page and options; ``transfer_job`` makes its job."""

from __future__ import annotations

from typing import Any

import click

from bulkhaul.cli.choice_options import no_clobber_option
from bulkhaul.cli.click_extensions import SectionedCommand, section
from bulkhaul.cli.object_options import object_options
from bulkhaul.cli.options import (
    checksum_option,
    connection_options,
    output_options,
    speed_options,
    take_output,
    threshold_option,
)
from bulkhaul.cli.transfer_job import pipe_job

EPILOG = """\b
Examples:
  tar c results | bulkhaul pipe s3://bucket/results.tar
  pg_dump db | zstd | bulkhaul pipe --content-type application/zstd s3://bucket/db.zst

A program that fails halfway ends its output like one that is done: use `set -o pipefail`, and remove the object if
the pipeline has failed.
"""


@click.command("pipe", cls=SectionedCommand, epilog=EPILOG, short_help="Store stdin as an object.")
@click.argument("url", metavar="URL")
@no_clobber_option
@section("Selection")(
    "--raw", is_flag=True, expose_value=False, help="* and ? stand for themselves, as they do anyway."
)
@section("Selection")(
    "--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be done, and read nothing."
)
@object_options
@checksum_option
@speed_options
@threshold_option
@connection_options
@output_options
@click.pass_context
def pipe(ctx: click.Context, /, *, url: str, **given: Any) -> None:
    """Store everything that comes from stdin as the object URL, s3://bucket/key.

    The length need not be known. The object appears when the input has ended and everything is stored; an
    interrupted or failed upload leaves nothing behind. The same as `bulkhaul cp - URL`.
    """
    output = take_output(given)
    job = pipe_job(url, given)
    from bulkhaul.cli.launch import launch_job

    launch_job(ctx, job, output)
