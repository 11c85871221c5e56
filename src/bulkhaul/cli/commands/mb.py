"""``bulkhaul mb``: its help page and options."""

from __future__ import annotations

from typing import Any, NoReturn

import click

from bulkhaul.cli.bucket_command import bucket_options, launch_for_bucket, named_bucket
from bulkhaul.cli.click_extensions import SectionedCommand

EPILOG = """\b
Examples:
  bulkhaul mb s3://bucket
  bulkhaul mb --region eu-central-1 s3://bucket

Without --region the bucket is made in the region of the configuration. A name has 3 to 63 characters, of a-z, 0-9, .
and -, and begins and ends with a letter or digit.

\b
Exit code: 0 it is made, 1 it is not: the name is taken, or it is not allowed, 2 wrong command line.
"""


@click.command("mb", cls=SectionedCommand, epilog=EPILOG, short_help="Make a bucket.")
@bucket_options
@click.pass_context
def mb(ctx: click.Context, /, *, url: str, **given: Any) -> NoReturn:
    """Make a bucket."""
    from bulkhaul.policy.storeurl import check_bucket

    bucket = named_bucket(url, "made")
    check_bucket(bucket)
    launch_for_bucket(ctx, bucket, lambda engine: engine.create_bucket(bucket), given, done="made")
