"""``bulkhaul cat``: its help page, options and job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.click_extensions import SectionedCommand, section
from bulkhaul.cli.options import (
    connection_options,
    make_settings,
    speed_options,
    take_output,
    take_settings,
    verify_option,
)
from bulkhaul.cli.standard_streams import require_stdout
from bulkhaul.cli.transfer_arguments import REMAINS, Direction, refuse_many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bulkhaul.cli.job import Job
    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.results import TransferResult

EPILOG = """\b
Examples:
  bulkhaul cat s3://bucket/results.tar | tar x
  bulkhaul cat 's3://bucket/logs/2024-05-*.log' | grep ERROR
  bulkhaul cat s3://bucket/logs/today/ | grep ERROR
  bulkhaul cat --version-id 3sL4kqtJlcpXroDTDmJ s3://bucket/settings.json

Patterns: * matches any characters, also "/", and ? matches one; quote them. A bucket, or a URL that ends in a slash, is
all that lies in that folder itself. What is found is written in the order of keys.

The checksum of an object is known when its last byte has been written: look at the exit code before you rely on the
output. After a failure nothing more is written.
"""


@click.command("cat", cls=SectionedCommand, epilog=EPILOG, short_help="Write objects to stdout.")
@click.argument("urls", metavar="URL...", nargs=-1, required=True)
@section("Selection")("--version-id", default="", metavar="ID", help="This version of the one object URL.")
@verify_option
@speed_options
@connection_options
@section("Output")("--no-progress", is_flag=True, help="No progress display (only where stdout is no terminal).")
@section("Output")("--json", "as_json", is_flag=True, help="One line of JSON an object, and one of totals, on stderr.")
@click.pass_context
def cat(ctx: click.Context, /, *, urls: tuple[str, ...], version_id: str, **given: Any) -> None:
    """Write the objects at URL, s3://bucket/key, a folder or a pattern, to stdout, one after the other.

    Ranges are fetched in parallel and written in order, in bounded memory. Errors go to stderr.
    """
    output = take_output(given)
    job = _job(urls, version_id, given)
    from bulkhaul.cli.launch import launch_job

    launch_job(ctx, job, output)


def _job(urls: tuple[str, ...], version_id: str, given: dict[str, Any]) -> Job:
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.policy.selection import nothing_matches, parse_destination, parse_listing

    for url in urls:
        parse_destination(url, "cat writes objects, and takes no local files: each URL")
    lists = {url: source for url in urls if (source := parse_listing(url)).pattern or _is_folder(source.prefix)}
    if version_id:
        refuse_many(urls, "--version-id")
    require_stdout()
    settings = make_settings(take_settings(given))

    def results(run: Engine, out: int = 1) -> Iterator[TransferResult]:
        for url in urls:
            if url not in lists:
                yield run.download_stream(url, out, version_id=version_id)
                continue
            source = lists[url]
            found = list(run.list(url) if source.pattern else run.list_with_delimiter(url))
            if not found and (source.pattern or source.prefix):
                raise nothing_matches(source)
            keys = [one.key for one in found if not isinstance(one, str) and not _is_folder(one.key)]
            for key in sorted(keys, key=str.encode):
                yield run.download_stream(ObjectRef(source.bucket, key).url, out)

    from bulkhaul.cli.job import Job

    return Job(
        operation="cat",
        results=results,
        streams=results,
        source=urls[0],
        destination="-",
        dry_run=False,
        settings=settings,
        to_stdout=True,
        grows=(lambda: True) if lists or len(urls) > 1 else None,
        remains=REMAINS[Direction.TO_STDOUT],
    )


def _is_folder(key: str) -> bool:
    return not key or key.endswith("/")
