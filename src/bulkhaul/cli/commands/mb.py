"""``bulkhaul mb``: its help page and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

EPILOG = """\b
Examples:
  bulkhaul mb s3://bucket
  bulkhaul mb --region eu-central-1 s3://bucket

Without --region the bucket is made in the region of the configuration.

\b
Exit code: 0 it is made, 1 it is not: the name is taken, or it is not allowed, 2 wrong command line.
"""


@click.command("mb", cls=SectionedCommand, epilog=EPILOG, short_help="Make a bucket.")
@click.argument("url", metavar="s3://BUCKET")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def mb(ctx: click.Context, /, *, url: str, as_json: bool, **connection: Any) -> NoReturn:
    """Make a bucket."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.policy.naming import printable
    from bulkhaul.policy.selection import parse_destination

    bucket, key = parse_destination(url, "a bucket that is to be made")
    if key:
        raise click.UsageError("a bucket is made, so give s3://BUCKET without a key.")
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        await engine.create_bucket(bucket)
        line = {"operation": "mb", "success": True, "bucket": bucket}
        await out.write(json_text("bucket", line) if as_json else f"made s3://{printable(bucket)}\n")
        return 0

    launch_query(ctx, work, settings, operation="mb", as_json=as_json)
