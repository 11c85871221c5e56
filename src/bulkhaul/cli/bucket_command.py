"""Runs mb and rb: one request about one bucket, and a line that says it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import adding
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

bucket_options = adding(
    click.argument("url", metavar="s3://BUCKET"),
    connection_options,
    click.option("--quiet", "--only-show-errors", "quiet", is_flag=True, help="Print errors only."),
    click.option("--json", "as_json", is_flag=True, help="One line of JSON."),
)
"""The argument and the options of mb and rb."""


def named_bucket(url: str, done: str, hint: str = "") -> str:
    """Return the bucket of ``s3://BUCKET``.

    Args:
        done: what becomes of it, as "made".
        hint: what to do about a key.

    Raises:
        click.UsageError: there is a key behind it.
        InvalidUrl: it names no bucket.
    """
    from bulkhaul.policy.selection import parse_destination

    bucket, key = parse_destination(url, f"a bucket that is to be {done}")
    if key:
        raise click.UsageError(f"a bucket is {done}, so give s3://BUCKET without a key{hint}.")
    return bucket


def launch_for_bucket(
    ctx: click.Context,
    bucket: str,
    ask: Callable[[AsyncEngine], Awaitable[None]],
    given: dict[str, Any],
    *,
    done: str,
) -> NoReturn:
    """Run ``ask``, say what was done, and end the command."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.policy.naming import printable

    operation, as_json, quiet = str(ctx.info_name), given.pop("as_json"), given.pop("quiet")
    settings = make_settings(given)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        await ask(engine)
        if as_json:
            await out.write(json_text("bucket", {"operation": operation, "success": True, "bucket": bucket}))
        elif not quiet:
            await out.write(f"{done} s3://{printable(bucket)}\n")
        return 0

    launch_query(ctx, work, settings, operation=operation, as_json=as_json)
