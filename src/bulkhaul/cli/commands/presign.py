"""``bulkhaul presign``: its help page, options and output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.option_values import parsed_duration
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

EPILOG = """\b
Examples:
  bulkhaul presign s3://bucket/report.pdf
  bulkhaul presign --expires-in 7d s3://bucket/report.pdf
  curl -o report.pdf "$(bulkhaul presign s3://bucket/report.pdf)"

Only the URL is printed on stdout. Whoever has it can read the object until it expires, so treat it as a secret. With
temporary credentials it ends with them, however long --expires-in is. Whether the object exists is not asked; * and ?
stand for themselves.

\b
Exit code: 0 there is the URL, 1 it cannot be signed, 2 wrong command line.
"""


@click.command("presign", cls=SectionedCommand, epilog=EPILOG, short_help="Print a URL that fetches one object.")
@click.argument("url", metavar="s3://BUCKET/KEY")
@click.option(
    "--expires-in",
    "expires_s",
    default="3600",
    show_default=True,
    metavar="TIME",
    callback=parsed_duration,
    help="How long it works: seconds, or 90m, 12h, 7d; at most 7d.",
)
@click.option("--version-id", default="", metavar="ID", help="That version of the object.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def presign(
    ctx: click.Context, /, *, url: str, expires_s: int, version_id: str, as_json: bool, **connection: Any
) -> NoReturn:
    """Print a URL that fetches one object without credentials, until it expires."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.model.limits import MAX_PRESIGN_S
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.selection import parse_source

    if not 1 <= expires_s <= MAX_PRESIGN_S:
        raise click.UsageError(f"--expires-in must be 1 second to 7 days ({MAX_PRESIGN_S} s), not {expires_s} s.")
    source = parse_source(url, literal=True, marker=True)
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        signed = await engine.control.presign(ObjectRef(source.bucket, source.key), expires_s, version_id)
        line = {"operation": "presign", "success": True, "url": signed, "expires_s": expires_s}
        await out.write(json_text(line) if as_json else f"{signed}\n")
        return 0

    launch_query(ctx, work, settings, operation="presign", as_json=as_json)
