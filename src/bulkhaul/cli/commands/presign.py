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
    from bulkhaul.model.presigning import Method

EPILOG = """\b
Examples:
  bulkhaul presign s3://bucket/report.pdf
  bulkhaul presign --expires-in 7d s3://bucket/report.pdf
  curl -o report.pdf "$(bulkhaul presign s3://bucket/report.pdf)"
  bulkhaul presign --method PUT --content-type text/csv s3://bucket/in.csv
  curl -T in.csv -H 'Content-Type: text/csv' "$URL"

Only the URL is printed on stdout. Whoever has it can read the object until it expires (or store, look at or delete
it, by --method), so treat it as a secret. With temporary credentials it ends with them, however long --expires-in
is. Whether the object exists is not asked; * and ? stand for themselves. s3:// may be left out.

\b
Exit code: 0 there is the URL, 1 it cannot be signed, 2 wrong command line.
"""


@click.command(
    "presign", cls=SectionedCommand, epilog=EPILOG, short_help="Print a URL that fetches or stores one object."
)
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
@click.option(
    "--method",
    default="GET",
    show_default=True,
    type=click.Choice(["GET", "HEAD", "PUT", "DELETE"], case_sensitive=False),
    help="What the URL is for: PUT stores, DELETE deletes.",
)
@click.option("--content-type", default="", metavar="TYPE", help="Of a PUT: it must come with this Content-Type.")
@click.option("--version-id", default="", metavar="ID", help="That version of the object.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def presign(
    ctx: click.Context,
    /,
    *,
    url: str,
    expires_s: int,
    method: Method,
    content_type: str,
    version_id: str,
    as_json: bool,
    **connection: Any,
) -> NoReturn:
    """Print a URL that fetches one object, or stores it, without credentials, until it expires."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.cli.transfer_arguments import require_object
    from bulkhaul.model.limits import MAX_PRESIGN_S
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.selection import parse_source, with_scheme
    from bulkhaul.policy.storerules import check_presigned

    if not 1 <= expires_s <= MAX_PRESIGN_S:
        raise click.UsageError(f"--expires-in must be 1 second to 7 days ({MAX_PRESIGN_S} s), not {expires_s} s.")
    url = with_scheme(url)
    require_object(url, role="the URL", marker=True, what="what the URL is for")
    source = parse_source(url, literal=True, marker=True)
    ref = ObjectRef(source.bucket, source.key)
    check_presigned(method, content_type, version_id, ref.url)
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        signed = await engine.control.presign(ref, expires_s, version_id, method=method, content_type=content_type)
        line = {"operation": "presign", "success": True, "url": signed, "expires_s": expires_s, "method": method}
        await out.write(json_text("url", line) if as_json else f"{signed}\n")
        return 0

    launch_query(ctx, work, settings, operation="presign", as_json=as_json)
