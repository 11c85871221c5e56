"""``bulkhaul cleanup``: its help page, options and output."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.option_values import parsed_duration
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.operations.cleanup import Cleanup, Leftover

EPILOG = """\b
Examples:
  bulkhaul cleanup                                     what runs that died have left behind, by their journals
  bulkhaul cleanup --yes                               abort those uploads, and remove their journals
  bulkhaul cleanup --older-than 7d s3://bucket/run-7/  also uploads of others, begun more than 7 days ago
  bulkhaul cleanup --temp-files /data --yes            also what downloads left below /data, even to be resumed

Parts of an upload that was never completed cost money until it is aborted. bulkhaul writes a journal of each upload
($BULKHAUL_STATE_DIR, else ~/.local/state/bulkhaul), so it knows its own; an interrupted upload can be resumed until
it is cleaned up. An upload whose run lives is never touched. --older-than goes by age alone: it aborts what other
programs have begun, even if they are still at it.

Nothing is changed without --yes. What was found is looked at again right before it is cleared away.

\b
Exit code: 0 done (or nothing to do), 1 something could not be looked at or cleared away, 2 wrong command line.
"""


@click.command("cleanup", cls=SectionedCommand, epilog=EPILOG, short_help="Abort uploads that dead runs left behind.")
@click.argument("url", metavar="[s3://BUCKET[/PREFIX]]", required=False)
@click.option(
    "--older-than",
    "older_than_s",
    metavar="TIME",
    callback=parsed_duration,
    help="Also all pending uploads of the bucket that were begun before that: 12h, 7d …",
)
@click.option(
    "--temp-files",
    "temp_folder",
    metavar="FOLDER",
    help="Also temp files of downloads, below that folder, those that can be resumed too.",
)
@click.option("--yes", "-y", is_flag=True, help="Do it; without, only say what would be done.")
@click.option("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Only say what would be done, as without --yes.")
@connection_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each, and a summary.")
@click.pass_context
def cleanup(
    ctx: click.Context,
    /,
    *,
    url: str | None,
    older_than_s: int | None,
    temp_folder: str | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
    **connection: Any,
) -> NoReturn:
    """Show, and with --yes clear away, what runs that died have left behind."""
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.policy.selection import parse_destination

    if yes and dry_run:
        raise click.UsageError("--yes and --dry-run contradict each other.")
    if older_than_s is not None and url is None:
        raise click.UsageError("--older-than needs s3://BUCKET: other programs' uploads are only looked for there.")
    bucket, prefix = parse_destination(url, "where uploads are to be looked for") if url is not None else ("", "")
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        from bulkhaul.engine.operations.cleanup import Cleanup

        places = Cleanup(engine.control, clears=yes)
        report = LeftoverReport(out, as_json=as_json, dry_run=not yes, unasked=bucket if older_than_s is None else "")
        found = _all(places, bucket, prefix, older_than_s, temp_folder, settings.state_dir)
        async with contextlib.aclosing(found):
            async for leftover in found:
                await report.one(leftover)
        return await report.end()

    launch_query(ctx, work, settings, operation="cleanup", as_json=as_json)


async def _all(
    places: Cleanup, bucket: str, prefix: str, older_than_s: int | None, temp_folder: str | None, state_dir: str | None
) -> AsyncGenerator[Leftover, None]:
    import asyncio
    import time

    from bulkhaul.disk.state import state_path

    async with contextlib.aclosing(places.journals(state_path(state_dir), bucket, prefix)) as named:
        async for leftover in named:
            yield leftover
    if older_than_s is not None:
        uploads = places.uploads(bucket, prefix, older_than_s=older_than_s, now_s=time.time())
        async with contextlib.aclosing(uploads):
            async for leftover in uploads:
                yield leftover
    if temp_folder is not None:
        for leftover in await asyncio.to_thread(places.temp_files, temp_folder):
            yield leftover


class LeftoverReport:
    """Writes and counts what was found."""

    def __init__(self, out: Lines, *, as_json: bool, dry_run: bool, unasked: str) -> None:
        """Take where lines go; ``unasked``: the bucket that was named and not asked, empty for none."""
        self._unasked = unasked
        self._out = out
        self._as_json = as_json
        self._dry_run = dry_run
        self._found = self._cleared = self._failed = 0

    async def one(self, leftover: Leftover) -> None:
        """Write one leftover."""
        from bulkhaul.cli.lines import error_line

        self._found += 1
        self._cleared += leftover.cleared
        if leftover.failure is not None:
            self._failed += 1
        if self._as_json:
            await self._out.write(leftover_json(leftover, dry_run=self._dry_run))
        elif leftover.failure is not None:
            self._out.error(error_line(leftover.failure))
        else:
            await self._out.write(leftover_line(leftover, dry_run=self._dry_run))

    async def end(self) -> int:
        """Write the totals; return the exit code."""
        from bulkhaul.cli.lines import json_text

        if self._as_json:
            counts = {"found": self._found, "cleared": self._cleared, "failed": self._failed}
            total = {"operation": "summary", "success": not self._failed, "dryrun": self._dry_run, **counts}
            await self._out.write(json_text("summary", total))
        elif not self._found:
            asked = f"; --older-than TIME asks {self._unasked} for uploads of others, too" if self._unasked else ""
            await self._out.write(f"nothing is left behind{asked}\n")
        elif self._dry_run:
            await self._out.write("nothing was changed; --yes does it\n")
        return 1 if self._failed else 0


def leftover_line(leftover: Leftover, *, dry_run: bool) -> str:
    """Return the line for people, and the remedy as a second line."""
    from bulkhaul.policy.naming import printable
    from bulkhaul.policy.sizes import format_size

    verb = "abort" if leftover.kind == "upload" else "remove"
    if leftover.remedy or not (dry_run or leftover.cleared):
        what = "left alone:"
    else:
        what = f"would {verb}" if dry_run else {"abort": "aborted", "remove": "removed"}[verb]
    details = [leftover.why]
    if leftover.upload_id:
        details.append(f"upload {leftover.upload_id}")
    if leftover.size_bytes:
        details.append(f"{format_size(leftover.size_bytes)} on the disk")
    if leftover.since:
        details.append(f"begun {leftover.since}")
    line = f"{what} {leftover.kind} {printable(leftover.name)} ({printable('; '.join(details))})\n"
    return line + (f"    {printable(leftover.remedy)}\n" if leftover.remedy else "")


def leftover_json(leftover: Leftover, *, dry_run: bool) -> str:
    """Return the line of JSON."""
    from bulkhaul.cli.lines import error_fields, json_text

    line: dict[str, Any] = {"operation": "cleanup", "success": leftover.failure is None, "dryrun": dry_run}
    for name in ("name", "upload_id", "since", "why", "size_bytes", "remedy", "cleared"):
        line[name] = getattr(leftover, name)
    line["kind"] = str(leftover.kind)
    if leftover.failure is not None:
        line["error"] = error_fields(leftover.failure)
    return json_text("leftover", line)
