"""``bulkhaul rb``: its help page and options."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from bulkhaul.cli.bucket_command import bucket_options, launch_for_bucket, named_bucket
from bulkhaul.cli.click_extensions import SectionedCommand

EPILOG = """\b
Examples:
  bulkhaul rb s3://bucket

A bucket in which an object, a version or a delete marker is stays. There is no --force as aws-cli has it: one word
would delete everything for good. `bulkhaul rm --recursive --all-versions --dry-run s3://bucket` shows what is in
it, the same without --dry-run deletes it, and rb removes the bucket then.

\b
Exit code: 0 it is gone, 1 it is not: it holds something, does not exist, or it is not allowed, 2 wrong command line.
"""


@click.command("rb", cls=SectionedCommand, epilog=EPILOG, short_help="Remove an empty bucket.")
@bucket_options
@click.pass_context
def rb(ctx: click.Context, /, *, url: str, **given: Any) -> NoReturn:
    """Remove a bucket in which nothing is."""
    bucket = named_bucket(url, "removed", "; rm deletes objects")
    launch_for_bucket(ctx, bucket, lambda engine: engine.delete_bucket(bucket), given, done="removed")
