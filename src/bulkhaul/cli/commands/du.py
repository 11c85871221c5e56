"""``bulkhaul du``: its help page, options and sums."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.filter_options import filter_options
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine

EPILOG = """\b
Examples:
  bulkhaul du s3://bucket/run-7/
  bulkhaul du -H --group s3://bucket
  bulkhaul du 's3://bucket/logs/*.gz'
  bulkhaul du --all-versions --json s3://bucket/run-7/

The prefix is taken as it is: s3://bucket/run counts run-7/ and run.txt. Patterns: * matches any characters, also "/",
and ? matches one. Every key is listed, 1,000 a request; memory does not grow with their number.

\b
Exit code: 0 (also where nothing matches: that is 0 bytes), 1 it failed, 2 wrong command line.
"""


@click.command("du", cls=SectionedCommand, epilog=EPILOG, short_help="Add up the sizes of all objects below a prefix.")
@click.argument("url", metavar="s3://BUCKET[/PREFIX]")
@click.option("--human-readable", "-H", "human", is_flag=True, help="Sizes as 1.5 MiB.")
@click.option("--group", "-g", is_flag=True, help="One line for each storage class.")
@click.option("--all-versions", is_flag=True, help="Count every version, not only the current ones.")
@filter_options(click.option)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Lines of JSON.")
@click.pass_context
def du(
    ctx: click.Context,
    /,
    *,
    url: str,
    human: bool,
    group: bool,
    all_versions: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    as_json: bool,
    **connection: Any,
) -> NoReturn:
    """Print how many bytes lie below a prefix, and in how many objects."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.listing_lines import Totals, size_text, total_json
    from bulkhaul.policy.naming import printable
    from bulkhaul.policy.selection import listing_selector, parse_listing

    if group and all_versions:
        raise click.UsageError("--group cannot be had with --all-versions: versions are listed without their class.")
    source = parse_listing(url)
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        totals: defaultdict[str, Totals] = defaultdict(Totals)
        takes = listing_selector(source, include, exclude)
        if all_versions:
            async with contextlib.aclosing(engine.control.versions(source.bucket, source.prefix)) as found:
                async for versions in found:
                    for one in versions:
                        if not one.delete_marker and (takes is None or takes(one.key)):
                            totals[""].add((one.size,))
        else:
            async with contextlib.aclosing(engine.control.pages(source.bucket, source.prefix)) as pages:
                async for page in pages:
                    taken = page if takes is None else [head for head in page if takes(head.key)]
                    if group:
                        for head in taken:
                            totals[head.storage_class or "STANDARD"].add((head.size,))
                            totals[head.storage_class or "STANDARD"].add_archived((head,))
                    elif taken:
                        totals[""].add(head.size for head in taken)
                        totals[""].add_archived(taken)
        if not group or not (totals or as_json):
            totals[""].add(())
        for name, total in sorted(totals.items()):
            if as_json:
                of_class: dict[str, Any] = {"kind": "storage_class", "storage_class": name} if group else {}
                await out.write(total_json(total, source=url, **of_class))
            else:
                size = size_text(total.bytes, human=human) + ("" if human else " bytes")
                objects = f"{total.objects} object{'s' * (total.objects != 1)}"
                if total.archived:
                    objects += f", {total.archived} of them archived"
                await out.write(f"{size} in {objects}: {printable(url)}{f' [{printable(name)}]' if name else ''}\n")
        if group and as_json:
            fields = (sum(getattr(one, name) for one in totals.values()) for name in Totals.__struct_fields__)
            both = Totals(*fields)
            await out.write(total_json(both, source=url))
        return 0

    launch_query(ctx, work, settings, operation="du", as_json=as_json, workers=2)
