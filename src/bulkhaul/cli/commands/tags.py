"""``bulkhaul tags``: its help page and options."""

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
  bulkhaul tags get s3://bucket/model.bin
  bulkhaul tags set s3://bucket/model.bin team=ml stage=final
  bulkhaul tags rm s3://bucket/model.bin

get prints NAME=VALUE a line. set replaces: the object has afterwards the tags that are given, and no others; S3 has no
request that changes one alone. rm takes all away. An object has at most 10 tags; a name has at most 128 characters, a
value 256. * and ? stand for themselves.

\b
Exit code: 0 it is done, 1 there is no such object, or it is not allowed, 2 wrong command line.
"""


@click.command("tags", cls=SectionedCommand, epilog=EPILOG, short_help="Get, set or remove the tags of one object.")
@click.argument("action", metavar="get|set|rm", type=click.Choice(["get", "set", "rm"]))
@click.argument("url", metavar="s3://BUCKET/KEY")
@click.argument("pairs", metavar="[NAME=VALUE...]", nargs=-1)
@click.option("--version-id", default="", metavar="ID", help="That version of the object.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
@click.pass_context
def tags(
    ctx: click.Context,
    /,
    *,
    action: str,
    url: str,
    pairs: tuple[str, ...],
    version_id: str,
    as_json: bool,
    **connection: Any,
) -> NoReturn:
    """Get, set or remove the tags of one object."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.cli.transfer_arguments import require_object
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.naming import printable
    from bulkhaul.policy.selection import parse_source
    from bulkhaul.policy.tags import check_tags

    require_object(url, role="the URL", marker=True, what="what has the tags")
    source = parse_source(url, literal=True, marker=True)
    ref = ObjectRef(source.bucket, source.key)
    if pairs and action == "get":
        raise click.UsageError(f"get takes one object and nothing more, not {pairs[0]!r} as well.")
    if pairs and action == "rm":
        text = f"rm removes all tags of one object, so {pairs[0]!r} is too much; set gives the object the tags to keep."
        raise click.UsageError(text)
    given = _given(pairs)
    if action == "set" and not given:
        raise click.UsageError("set needs NAME=VALUE; rm removes all tags.")
    check_tags(given, ref.url)
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        if action == "get":
            told = await engine.get_tags(ref, version_id=version_id)
        else:
            told = given
            await engine.control.set_tags(ref, given, version_id)
        line = {"operation": "tags", "success": True, "bucket": ref.bucket, "key": ref.key, "tags": told}
        lines = "".join(f"{printable(f'{name}={value}')}\n" for name, value in told.items() if action == "get")
        await out.write(json_text("object", line) if as_json else lines)
        return 0

    launch_query(ctx, work, settings, operation="tags", as_json=as_json)


def _given(pairs: tuple[str, ...]) -> dict[str, str]:
    """Return the tags of a command line.

    Raises:
        click.UsageError: a word is no NAME=VALUE, or a name comes twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.UsageError(f"write a tag as NAME=VALUE, not {pair!r}.")
        if name in found:
            raise click.UsageError(f"the tag {name!r} is given twice.")
        found[name] = value
    return found
