"""Takes SRC… and DEST of cp and mv: expands patterns of local files, and makes the work of several sources."""

from __future__ import annotations

import glob
import os
import re
from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli.transfer_arguments import SCHEME, STREAM, Direction, direction_of, without_streams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.settings import Settings
    from bulkhaul.model.writing import ObjectOptions

_WILDCARD = re.compile(r"[*?]")


def sources_and_destination(paths: Sequence[str], *, raw: bool) -> tuple[list[str], str]:
    """Return all SRC, and DEST; a pattern of local files that the shell has left is expanded.

    A single SRC that is a pattern is a list even where one file matches: its DEST is a folder then.

    Args:
        raw: wildcards stand for themselves.

    Raises:
        click.UsageError: one of them is missing.
        NotFound: no file matches.
    """
    if len(paths) < 2:
        raise click.UsageError("Missing argument 'SRC'." if not paths else "Missing argument 'DEST'.")
    *given, destination = paths
    sources: list[str] = []
    for source in given:
        if raw or source.startswith(SCHEME) or not _WILDCARD.search(source) or os.path.lexists(source):
            sources.append(source)
            continue
        if not destination.startswith(SCHEME) or destination == SCHEME:
            return given, destination  # which is refused
        found = sorted(glob.glob(source))
        if not found:
            from bulkhaul.model.errors import NotFound

            raise NotFound("no file matches", source)
        sources += found
        require_folder(destination)
    pairs = [without_streams(source, destination) for source in sources]
    return [source for source, _ in pairs], pairs[0][1]


def require_several(sources: Sequence[str], destination: str, given: dict[str, Any]) -> Direction:
    """Check several sources; return their direction.

    Raises:
        click.UsageError: they cannot go to one place together.
    """
    directions = {direction_of(source, destination) for source in sources}
    if destination == STREAM:
        raise click.UsageError("stdout takes one object; `bulkhaul cat` writes several.")
    if STREAM in sources:
        raise click.UsageError("stdin is one SRC by itself.")
    if len(directions) > 1:
        raise click.UsageError("the SRC of one command are all local, or all in s3://; these are both.")
    for name, option in (("version_id", "--version-id"), ("all_versions", "--all-versions")):
        if given.get(name):
            raise click.UsageError(f"{option} goes with one SRC.")
    if any(given.get(name) for name in ("files_from", "files_from0")):
        raise click.UsageError("the lines of a list are relative to one SRC; give one.")
    require_folder(destination)
    (direction,) = directions
    if direction is Direction.UPLOAD and not given["recursive"]:
        folder = next((source for source in sources if os.path.isdir(source)), None)
        if folder is not None:
            raise click.UsageError(f"{folder} is a folder; add --recursive for everything below it.")
    return direction


def require_folder(destination: str) -> None:
    """Make sure that DEST can take several files or objects.

    Raises:
        click.UsageError: it is one.
    """
    if destination.startswith(SCHEME):
        folder = destination.endswith("/") or "/" not in destination.removeprefix(SCHEME)
    else:
        folder = destination.endswith("/") or os.path.isdir(destination)
    if not folder:
        kind = "a bucket, or end in a slash" if destination.startswith(SCHEME) else "a folder, or end in a slash"
        raise click.UsageError(f"DEST of several SRC must be {kind}; {destination} is one name.")


def several_work(
    sources: Sequence[str],
    destination: str,
    given: dict[str, Any],
    *,
    stored: ObjectOptions | None,
    origin_settings: Settings | None,
    move: bool,
) -> Callable[[Engine], Iterator[TransferResult]]:
    """Return the work that transfers several sources to one place."""

    def results(run: Engine) -> Iterator[TransferResult]:
        from bulkhaul.cli.choice_options import choice_of
        from bulkhaul.jobs.several import Several, several_results

        origin = run.beside(origin_settings) if origin_settings is not None else None
        several = Several(sources=sources, destination=destination, recursive=given["recursive"], literal=given["raw"])
        choice = choice_of(given, stored=stored, move=move)
        yield from run.each(several_results(run.aio, several, choice, origin=origin))

    return results


def refuse_one_name(sources: Sequence[str], destination: str, given: dict[str, Any]) -> None:
    """Refuse sources that would have one name, before anything begins.

    Raises:
        UsageError: two of them would.
    """
    from bulkhaul.jobs.several import Several

    Several(sources=sources, destination=destination, recursive=given["recursive"], literal=given["raw"]).named()
