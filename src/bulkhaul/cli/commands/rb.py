"""``bulkhaul rb``: its help page and options."""

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
  bulkhaul rb s3://bucket

A bucket in which an object, a version or a delete marker is stays. There is no --force as aws-cli has it: one word
would delete everything for good. `bulkhaul rm --recursive --all-versions --dry-run s3://bucket` shows what is in
it, the same without --dry-run deletes it, and rb removes the bucket then.

\b
Exit code: 0 it is gone, 1 it is not: it holds something, does not exist, or it is not allowed, 2 wrong command line.
"""


@click.command("rb", cls=SectionedCommand, epilog=EPILOG, short_help="Remove an empty bucket.")
@click.argument("url", metavar="s3://BUCKET")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def rb(ctx: click.Context, /, *, url: str, as_json: bool, **connection: Any) -> NoReturn:
    """Remove a bucket in which nothing is."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.policy.naming import printable
    from bulkhaul.policy.selection import parse_destination

    bucket, key = parse_destination(url, "a bucket that is to be removed")
    if key:
        raise click.UsageError("a bucket is removed, so give s3://BUCKET without a key; rm deletes objects.")
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        await engine.delete_bucket(bucket)
        line = {"operation": "rb", "success": True, "bucket": bucket}
        await out.write(json_text("bucket", line) if as_json else f"removed s3://{printable(bucket)}\n")
        return 0

    launch_query(ctx, work, settings, operation="rb", as_json=as_json)
