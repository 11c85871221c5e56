"""``bulkhaul ls``: its help page, options and pages; ``listing_lines`` makes the lines."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.aws_options import page_size_option
from bulkhaul.cli.click_extensions import SectionedCommand
from bulkhaul.cli.filter_options import filter_options
from bulkhaul.cli.options import connection_options, make_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bulkhaul.cli.listing_lines import Shown
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.policy.selection import Source

    Filters = tuple[Sequence[str], Sequence[str]]

EPILOG = """\b
Examples:
  bulkhaul ls                                    all buckets
  bulkhaul ls s3://bucket/run-7/                 one folder: its objects, and its folders as PRE
  bulkhaul ls --recursive -H s3://bucket/run-7/  every key below, with sizes for people
  bulkhaul ls 's3://bucket/logs/2024-*.gz'       every key that matches, also in folders
  bulkhaul ls --json --recursive s3://bucket | jq -r .key

Without a pattern the prefix is taken as it is, as aws-cli does: s3://bucket/run lists run-7/ and run.txt. Patterns: *
matches any characters, also "/", and ? matches one. Filters see folders with the slash at their end: --exclude 'logs/'.
Times are UTC. A line ends with the key, without the folder that was asked for; with --recursive, a pattern or
--all-versions it is the whole key. What lies in an archive has its class after the key, as in run-7/a.bin (GLACIER),
and has to be restored before it is read. Control characters are escaped; --json tells every key exactly.

\b
Exit code: 0 something is there (or filters leave it out, or the bucket is empty), 1 nothing matches or it failed,
2 wrong command line.
"""


@click.command(
    "ls", cls=SectionedCommand, epilog=EPILOG, short_help="List buckets, a folder, or all keys below a prefix."
)
@click.argument("url", metavar="[s3://BUCKET[/PREFIX]]", required=False)
@click.option("--recursive", "-r", is_flag=True, help="Every key below, not one folder.")
@click.option("--human-readable", "-H", "human", is_flag=True, help="Sizes as 1.5 MiB.")
@click.option("--summarize", is_flag=True, help="The number of objects and their bytes at the end.")
@click.option("--all-versions", is_flag=True, help="Every version and delete marker of every key below.")
@filter_options(click.option)
@click.option("--show-fullpath", "urls", is_flag=True, help="Of each object its URL alone.")
@click.option("--etag", "-e", is_flag=True, help="Each object's ETag before its size.")
@click.option("--storage-class", "-s", is_flag=True, help="Each object's storage class before its size.")
@connection_options
@page_size_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON an object, and with --summarize one of totals.")
@click.pass_context
def ls(
    ctx: click.Context,
    /,
    *,
    url: str | None,
    recursive: bool,
    human: bool,
    summarize: bool,
    all_versions: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    urls: bool,
    etag: bool,
    storage_class: bool,
    as_json: bool,
    **connection: Any,
) -> NoReturn:
    """List what is in S3, in the service's order.

    Without an argument: the buckets. With one: a folder, or with --recursive or a pattern every key. s3:// may be left
    out before a bucket.
    """
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.listing_lines import Shown
    from bulkhaul.policy.selection import parse_listing, with_scheme

    if url == "s3://":
        url = None
    if url is None and (recursive or all_versions or summarize or include or exclude):
        raise click.UsageError("--recursive, --all-versions, --summarize and filters need s3://BUCKET.")
    source = parse_listing(with_scheme(url)) if url is not None else None
    if urls and all_versions:
        raise click.UsageError("--show-fullpath cannot be had with --all-versions: a URL names no version.")
    if (etag or storage_class) and (urls or all_versions):
        raise click.UsageError("--etag and --storage-class cannot be had with --show-fullpath or --all-versions.")
    settings = make_settings(connection)

    async def work(engine: AsyncEngine, out: Lines) -> int:
        if source is None:
            return await list_buckets(engine, out, as_json=as_json)
        shown = Shown(human=human, etag=etag, storage_class=storage_class)
        listing = Listing(source, out, shown=shown, as_json=as_json, filters=(include, exclude), urls=urls)
        if all_versions:
            await listing.versions(engine)
        elif recursive or source.pattern:
            await listing.objects(engine)
        else:
            await listing.folder(engine)
        return await listing.end(summarize=summarize)

    workers = 2 if source is not None and (recursive or source.pattern) else 1
    launch_query(ctx, work, settings, operation="ls", as_json=as_json, workers=workers)


async def list_buckets(engine: AsyncEngine, out: Lines, *, as_json: bool) -> int:
    """Print the buckets; return the exit code."""
    from bulkhaul.cli.listing_lines import bucket_json, bucket_lines

    async with contextlib.aclosing(engine.control.buckets()) as pages:
        async for page in pages:
            await out.write(bucket_json(page) if as_json else bucket_lines(page))
    return 0


class Listing:
    """Prints one listing, page by page, and counts it."""

    def __init__(
        self,
        source: Source,
        out: Lines,
        *,
        shown: Shown,
        as_json: bool,
        filters: tuple[Sequence[str], Sequence[str]] = ((), ()),
        urls: bool = False,
    ) -> None:
        from bulkhaul.cli.listing_lines import Totals
        from bulkhaul.policy.selection import listing_selector

        self._source = source
        self._out = out
        self._show = shown
        self._as_json = as_json
        self._urls = urls
        self._takes = listing_selector(source, *filters)
        self._totals = Totals()
        self._shown = 0

    async def objects(self, engine: AsyncEngine) -> None:
        """Print every key."""
        from bulkhaul.cli.listing_lines import object_json, object_lines, url_lines

        bucket = self._source.bucket
        async with contextlib.aclosing(engine.control.pages(bucket, self._source.prefix)) as pages:
            async for page in pages:
                taken = [one for one in page if self._takes(one.key)] if self._takes else page
                self._totals.add(one.size for one in taken)
                self._totals.add_archived(taken)
                self._shown += len(taken)
                if self._urls and not self._as_json:
                    await self._out.write(url_lines(bucket, taken))
                    continue
                await self._out.write(object_json(bucket, taken) if self._as_json else object_lines(taken, self._show))

    async def folder(self, engine: AsyncEngine) -> None:
        """Print one folder."""
        from bulkhaul.cli.listing_lines import folder_json, folder_lines, object_json, object_lines, url_lines

        bucket, prefix = self._source.bucket, self._source.prefix
        cut = prefix.rfind("/") + 1
        async with contextlib.aclosing(engine.control.folder(bucket, prefix)) as pages:
            async for page, folders in pages:
                objects = [one for one in page if self._takes(one.key)] if self._takes else page
                prefixes = [one for one in folders if self._takes(one)] if self._takes else folders
                self._totals.add(one.size for one in objects)
                self._totals.add_archived(objects)
                self._shown += len(objects) + len(prefixes)
                if self._as_json:
                    await self._out.write(folder_json(bucket, prefixes) + object_json(bucket, objects))
                elif self._urls:
                    await self._out.write(url_lines(bucket, objects, prefixes))
                else:
                    lines = folder_lines(prefixes, self._show, cut=cut) + object_lines(objects, self._show, cut=cut)
                    await self._out.write(lines)

    async def versions(self, engine: AsyncEngine) -> None:
        """Print every version and delete marker."""
        from bulkhaul.cli.listing_lines import version_json, version_lines

        bucket = self._source.bucket
        async with contextlib.aclosing(engine.control.versions(bucket, self._source.prefix)) as pages:
            async for page in pages:
                taken = [one for one in page if self._takes(one.key)] if self._takes else page
                self._totals.add(one.size for one in taken if not one.delete_marker)
                self._shown += len(taken)
                await self._out.write(
                    version_json(bucket, taken) if self._as_json else version_lines(taken, human=self._show.human)
                )

    async def end(self, *, summarize: bool) -> int:
        """Print the totals; return the exit code.

        Raises:
            NotFound: nothing was found, and a prefix or pattern was given.
        """
        from bulkhaul.cli.listing_lines import total_json, total_lines
        from bulkhaul.policy.selection import all_left_out, nothing_matches

        left_out = self._takes is not None and all_left_out(self._takes)
        if not self._shown and not left_out and (self._source.prefix or self._source.pattern):
            raise nothing_matches(self._source)
        if not self._shown and left_out and not self._as_json:
            await self._out.note("nothing is listed: --include and --exclude leave out all that is there")
        if summarize:
            totals = total_json(self._totals) if self._as_json else total_lines(self._totals, human=self._show.human)
            await self._out.write(totals)
        return 0
