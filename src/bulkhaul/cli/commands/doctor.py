"""``bulkhaul doctor``: its help page, options and table of findings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.options import connection_options, make_settings
from bulkhaul.cli.verbosity import THIS_COMMAND, noted_sources

if TYPE_CHECKING:
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.policy.findings import Finding

EPILOG = """\b
Examples:
  bulkhaul doctor s3://bucket/prefix/
  bulkhaul doctor --write s3://bucket/scratch/
  bulkhaul doctor --json --endpoint-url https://minio.example:9000 s3://bucket

Without --write nothing is changed, and what only a write can tell is skipped. With it one object of 76 bytes is
stored below the prefix, overwritten, read and deleted, and one upload is begun and aborted. In a bucket with versions
a few versions of that object stay.

\b
Results: ok; warning (it works, with less safety); failed (transfers will fail); skipped.
Exit code: 0 nothing failed, 1 something did, 2 wrong command line.
"""


@click.command("doctor", cls=SectionedCommand, epilog=EPILOG, short_help="Check endpoint, credentials and bucket.")
@click.argument("url", metavar="s3://BUCKET[/PREFIX]")
@click.option("--write", is_flag=True, help="Also try writes: stores one small object and deletes it.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a check, and a summary.")
@click.pass_context
def doctor(ctx: click.Context, /, *, url: str, write: bool, as_json: bool, **connection: Any) -> NoReturn:
    """Try out what transfers to and from a bucket need, and say what to do about what is missing."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text
    from bulkhaul.policy.findings import fit
    from bulkhaul.policy.selection import parse_destination

    bucket, prefix = parse_destination(url, "what is to be tried out")
    # Without waiting for an endpoint that is away: that is a finding.
    settings = make_settings({**connection, "retry_for_s": connection["retry_for_s"] or 0})

    sources = dict(noted_sources())
    if connection["retry_for_s"] is None:
        sources["retry_for_s"] = THIS_COMMAND

    async def work(engine: AsyncEngine, out: Lines) -> int:
        from bulkhaul.engine.operations.doctor import examine

        found = []
        checks = examine(engine.control, settings, bucket, prefix, write=write, sources=sources)
        async with contextlib.aclosing(checks) as findings:
            async for finding in findings:
                found.append(finding)
                if as_json:
                    told = {name: getattr(finding, name) for name in ("check", "details", "remedy")}
                    await out.write(json_text("check", {"operation": "doctor", "result": str(finding.verdict), **told}))
        good = fit(found)
        if as_json:
            await out.write(json_text("summary", {"operation": "summary", "success": good, "checks": len(found)}))
        else:
            await out.write(table(found))
        return 0 if good else 1

    launch_query(ctx, work, settings, operation="doctor", as_json=as_json)


COLOURS = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def table(found: list[Finding]) -> str:
    """Return the findings as a table, as wide as the terminal."""
    import io
    import sys

    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from bulkhaul.policy.naming import printable

    details_of = Column("details and remedy", overflow="fold")  # a URL is longer than a narrow column
    grid = Table("check", "result", details_of, box=None, pad_edge=False, header_style="bold")
    for finding in found:
        details = Text(printable(finding.details))
        if finding.remedy:
            details.append(f"{chr(10) if finding.details else ''}-> {printable(finding.remedy)}", style="bold")
        verdict = str(finding.verdict)
        grid.add_row(finding.check, Text(verdict, style=COLOURS[verdict]), details)
    terminal = sys.stdout.isatty()
    console = Console(file=io.StringIO(), force_terminal=terminal, width=None if terminal else 120)
    console.print(grid)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()
