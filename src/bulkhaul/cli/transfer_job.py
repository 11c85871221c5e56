"""Makes the job of cp, mv and pipe from their options, direction by direction."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.aws_options import aws_transfer_options, expected_size_option
from bulkhaul.cli.choice_options import choice_options, left_out_one, take_choice
from bulkhaul.cli.click_extensions import adding, section
from bulkhaul.cli.explaining import explain_transfer
from bulkhaul.cli.file_list import STDIN, list_options, take_list
from bulkhaul.cli.link_options import link_options, take_links
from bulkhaul.cli.object_options import (
    object_options,
    preserve_option,
    take_options,
    take_preserve,
    take_preserve_of_files,
)
from bulkhaul.cli.options import (
    filter_options,
    make_settings,
    output_options,
    take_output,
    take_settings,
    transfer_settings_options,
)
from bulkhaul.cli.restore_options import restore_options, take_restore
from bulkhaul.cli.several_sources import Places, refuse_one_name, require_several, several_work, take_places
from bulkhaul.cli.source_options import origin_settings, source_options
from bulkhaul.cli.standard_streams import require_stdin, require_stdout
from bulkhaul.cli.transfer_arguments import (
    NOTHING,
    REMAINS,
    STREAM,
    Direction,
    direction_of,
    is_whole_folder,
    refuse_many,
    refuse_misplaced,
    refuse_pattern,
    refuse_unselective,
    refuse_with_all_versions,
    require_object,
)
from bulkhaul.cli.transfer_work import (
    copies_work,
    downloads_work,
    from_stdin_work,
    listed_work,
    to_stdout_work,
    uploads_work,
)

if TYPE_CHECKING:
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.transfer_work import Results
    from bulkhaul.model.results import TransferResult

_selection = section("Selection")

transfer_options = adding(
    click.argument("paths", metavar="SRC... DEST", nargs=-1),
    _selection("--recursive", "-r", is_flag=True, help="Everything below the prefix or the folder SRC."),
    filter_options,
    link_options,
    list_options(_selection, "SRC"),
    choice_options,
    _selection("--raw", is_flag=True, help="* and ?, and a slash at the end, of SRC stand for themselves."),
    _selection("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be done, and change nothing."),
    object_options,
    preserve_option,
    transfer_settings_options,
    source_options,
    output_options,
    aws_transfer_options,
)
"""The arguments and options of cp and mv."""

copy_options = adding(
    _selection("--version-id", default="", metavar="ID", help="This version of the one object SRC."),
    _selection(
        "--all-versions",
        is_flag=True,
        help="Between buckets: every version and delete marker of what SRC names, oldest first; DEST keeps versions.",
    ),
    restore_options,
    expected_size_option,
)
"""Of cp alone: a version is not moved, only deleted, and what is archived stays where it is."""


def transfer(ctx: click.Context, given: dict[str, Any], *, move: bool) -> None:
    """Check the command line of cp or mv, carry it out and exit.

    Raises:
        click.UsageError: it makes no sense.
    """
    places = take_places(given, move=move)
    sources, destination, several = places.sources, places.destination, places.several
    given = {"version_id": "", "all_versions": False, **given}
    if move and STREAM in (*sources, destination):
        raise click.UsageError("mv cannot move from stdin or to stdout; use cp.")
    direction = require_several(places, given) if several else direction_of(sources[0], destination)
    refuse_misplaced(ctx, direction)
    given["listed"] = take_list(ctx, given)
    if direction is Direction.UPLOAD and not (several or given["listed"]) and is_whole_folder(sources[0]):
        given["recursive"] = True
    given["restore"] = take_restore(given)
    given["choice"] = take_choice(given)
    refuse_with_all_versions(given)
    take_links(given, download=direction is Direction.DOWNLOAD, several=several, sources=sources)
    output = take_output(given)
    job = _prepared(direction, sources[0], destination, given, move=move, places=places if several else None)
    if given["explain"] is not None:
        explain_transfer(ctx, job, places, given, move=move, as_json=output["as_json"])
    from bulkhaul.cli.launch import launch_job

    launch_job(ctx, job, output)


def pipe_job(url: str, given: dict[str, Any]) -> Job:
    """Return the job that stores stdin as an object.

    Raises:
        click.UsageError: the URL names no object, or stdin is closed.
        TransferError: an option is out of its range.
    """
    given = {"recursive": False, "listed": None, "restore": None, "choice": None, "all_versions": False, **given}
    return _prepared(Direction.FROM_STDIN, STREAM, url, given, move=False, operation="pipe")


def _prepared(
    direction: Direction,
    source: str,
    destination: str,
    given: dict[str, Any],
    *,
    move: bool,
    operation: str = "",
    places: Places | None = None,
) -> Job:
    """Return the job of one source, or of several, of which ``source`` is the first."""
    if direction is Direction.TO_STDOUT:
        require_object(source, role="SRC, for stdout,", marker=given["raw"])
        if not given["raw"]:
            refuse_pattern(source)
        require_stdout()
    elif direction is Direction.FROM_STDIN:
        require_object(destination, role="DEST, for stdin,")
        require_stdin()
    elif given["listed"]:
        if direction is Direction.UPLOAD and not os.path.isdir(source):
            raise click.UsageError("SRC is no folder, and the lines of a list are relative to one.")
    else:
        if places is None:
            refuse_unselective(direction, source, given)
        if given["version_id"]:
            refuse_many((source,), "--version-id", recursive=given["recursive"], raw=given["raw"])
    stored = take_options(given)
    if direction in (Direction.UPLOAD, Direction.DOWNLOAD):
        take_preserve_of_files(given)
    given["preserve"] = take_preserve(given, stored)
    settings = make_settings(take_settings(given))
    least_bytes = settings.limits.min_part_bytes
    if direction not in (Direction.DOWNLOAD, Direction.TO_STDOUT) and 0 < (settings.part_size_bytes or 0) < least_bytes:
        raise click.UsageError("--part-size must be at least 5 MiB for what is stored: S3 takes no shorter parts.")
    dry_run = given["dry_run"]
    results: Results
    if places is not None:
        refuse_one_name(places, given)
        origin = origin_settings(settings, given) if direction is Direction.COPY else None
        results = several_work(places, given, stored=stored, origin_settings=origin, move=move)
    elif (left_out := left_out_one(source, given)) is not None:
        results = _told(left_out)
    elif given["listed"]:
        origin = origin_settings(settings, given) if direction is Direction.COPY else None
        results = listed_work(direction, source, destination, stored, given, origin, move=move)
    elif direction is Direction.DOWNLOAD:
        results = downloads_work(source, destination, given, move=move)
    elif direction is Direction.UPLOAD:
        results = uploads_work(source, destination, stored, given, move=move)
    elif direction is Direction.COPY:
        results = copies_work(source, destination, stored, given, origin_settings(settings, given), move=move)
    elif direction is Direction.FROM_STDIN:
        results = from_stdin_work(destination, stored, dry_run=dry_run, no_clobber=given.get("no_clobber", False))
    else:
        results = to_stdout_work(source, given["version_id"], dry_run=dry_run)
    from bulkhaul.cli.job import Job

    return Job(
        operation=operation or ("mv" if move else "cp"),
        results=results,
        source=source,
        destination=destination,
        dry_run=dry_run,
        settings=settings,
        to_stdout=direction is Direction.TO_STDOUT,
        quietly=(direction is Direction.FROM_STDIN or _reads_stdin(given["listed"])) and os.isatty(0),
        remains=REMAINS[direction],
        restores=given["restore"][1] if given["restore"] else None,
        nothing=NOTHING,
        asks=bool(given["choice"]) or not _stays_here(direction, source, dry_run=dry_run),
    )


def _told(result: TransferResult) -> Results:
    """Return the work of telling something."""
    return lambda _: iter([result])


def _stays_here(direction: Direction, source: str, *, dry_run: bool) -> bool:
    """Whether nothing is going to be asked of the service, so that nobody needs to be started for that."""
    if direction is Direction.UPLOAD and not os.path.lexists(source):
        return True
    return dry_run and direction in (Direction.UPLOAD, Direction.FROM_STDIN)


def _reads_stdin(listed: tuple[str, bool] | None) -> bool:
    return listed is not None and listed[0] == STDIN
