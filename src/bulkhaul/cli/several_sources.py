"""Takes SRC… and DEST of cp and mv: expands patterns of local files, and makes the work of several sources."""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from bulkhaul.cli.transfer_arguments import (
    SCHEME,
    STREAM,
    WILDCARD,
    Direction,
    direction_of,
    refuse_unselective,
    without_streams,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhaul.engine.facade import Engine
    from bulkhaul.jobs.several import Several
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.settings import Settings
    from bulkhaul.model.writing import ObjectOptions


class Places(NamedTuple):
    """What SRC… and DEST of a command line come to.

    Attributes:
        below: of what patterns of local files have found, the path below DEST, by its SRC; a folder among them ends
            in a slash.
    """

    sources: list[str]
    destination: str
    below: dict[str, str]

    @property
    def several(self) -> bool:
        """Whether there is a list of sources, even if it is one of one."""
        return len(self.sources) > 1 or bool(self.below)


def take_places(given: dict[str, Any], *, move: bool) -> Places:
    """Remove SRC… and DEST from ``given``; expand the patterns of local files that the shell has left.

    What a pattern finds keeps its path from the segment on that has the first wildcard, however much it finds.

    Raises:
        click.UsageError: one of them is missing.
        NotFound: no file matches.
    """
    paths, follow = given.pop("paths"), given["follow_symlinks"]
    if len(paths) < 2:
        raise click.UsageError("Missing argument 'SRC'." if not paths else "Missing argument 'DEST'.")
    *named, destination = paths
    sources: list[str] = []
    below: dict[str, str] = {}
    for source in named:
        wildcard = WILDCARD.search(source)
        if given["raw"] or source.startswith(SCHEME) or wildcard is None or os.path.lexists(source):
            sources.append(source)
            continue
        if not destination.startswith(SCHEME) or destination == SCHEME:
            return Places(named, destination, {})  # which is refused
        cut = source.rfind("/", 0, wildcard.start()) + 1
        matches = [path.rstrip("/") for path in sorted(glob.glob(source))]
        found = {_entered(path, follow=not move if follow is None else follow): path[cut:] for path in matches}
        if not found:
            from bulkhaul.model.errors import NotFound

            raise NotFound("no file matches", source)
        sources += found
        below |= found
        require_folder(destination)
    pairs = [without_streams(source, destination) for source in sources]
    return Places([source for source, _ in pairs], pairs[0][1], below)


def _entered(path: str, *, follow: bool) -> str:
    """Return a path with a slash at its end if everything below it is meant."""
    return f"{path}/" if os.path.isdir(path) and (follow or not os.path.islink(path)) else path


def require_several(places: Places, given: dict[str, Any]) -> Direction:
    """Check several sources; return their direction.

    Raises:
        click.UsageError: they cannot go to one place together.
    """
    sources, destination = places.sources, places.destination
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
    for source in sources:
        if source not in places.below:  # a folder without a slash is a link there, and is skipped
            refuse_unselective(direction, source, given)
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
    places: Places,
    given: dict[str, Any],
    *,
    stored: ObjectOptions | None,
    origin_settings: Settings | None,
    move: bool,
) -> Callable[[Engine], Iterator[TransferResult]]:
    """Return the work that transfers several sources to one place."""

    def results(run: Engine) -> Iterator[TransferResult]:
        from bulkhaul.cli.choice_options import choice_of
        from bulkhaul.jobs.several import several_results

        origin = run.beside(origin_settings) if origin_settings is not None else None
        choice = choice_of(given, stored=stored, move=move)
        yield from run.each(several_results(run.aio, several_of(places, given), choice, origin=origin))

    return results


def refuse_one_name(places: Places, given: dict[str, Any]) -> None:
    """Refuse sources that would have one name, before anything begins.

    Raises:
        UsageError: two of them would.
    """
    several_of(places, given).named()


def several_of(places: Places, given: dict[str, Any]) -> Several:
    """Return the sources of a command line, with its options."""
    from bulkhaul.jobs.several import Several

    return Several(
        sources=places.sources,
        destination=places.destination,
        paths=places.below,
        recursive=given["recursive"],
        literal=given["raw"],
    )
