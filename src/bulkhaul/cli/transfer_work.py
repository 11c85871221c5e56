"""Returns what cp, mv and pipe do with one source, or with a list: a function a direction, from their options."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from bulkhaul.cli.choice_options import chosen_results, is_there_already, replacing_rows
from bulkhaul.cli.restore_options import restored_rows
from bulkhaul.cli.transfer_arguments import STREAM, Direction, one_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.settings import Settings
    from bulkhaul.model.writing import ObjectOptions

    Results = Callable[[Engine], Iterator[TransferResult]]


def downloads_work(source: str, destination: str, given: dict[str, Any], *, move: bool) -> Results:
    """Return the work of one object, or of many below a prefix, that go to files.

    Raises:
        InvalidUrl: SRC names no object.
    """
    from bulkhaul.policy.selection import parse_source

    dry_run, recursive, version_id = given["dry_run"], given["recursive"], given["version_id"]
    many = parse_source(source, recursive=recursive, literal=given["raw"], marker=given["raw"]).many

    def results(run: Engine) -> Iterator[TransferResult]:
        from bulkhaul.disk.made_folders import made_above

        lacks_folder = dry_run and not many and not os.path.lexists(os.path.dirname(destination) or os.curdir)
        if given["choice"] or lacks_folder or (given["restore"] and not dry_run):
            what = source if many else one_object(source)
            with contextlib.nullcontext() if many or dry_run else made_above(destination):
                yield from chosen_results(run, what, destination, given, many=many, move=move)
        elif many:
            yield from run.download_many(
                source,
                destination,
                recursive=recursive,
                include=given["include"],
                exclude=given["exclude"],
                move=move,
                dry_run=dry_run,
            )
        else:
            with contextlib.nullcontext() if dry_run else made_above(destination):
                yield run.download(one_object(source), destination, move=move, version_id=version_id, dry_run=dry_run)

    return results


def uploads_work(
    source: str, destination: str, stored: ObjectOptions | None, given: dict[str, Any], *, move: bool
) -> Results:
    """Return the work of one file, or of a folder, that is stored as objects.

    Raises:
        InvalidUrl: DEST names no bucket.
    """
    from bulkhaul.model.writing import ObjectOptions
    from bulkhaul.policy.selection import parse_destination

    parse_destination(destination)
    options = stored or ObjectOptions()

    def results(run: Engine) -> Iterator[TransferResult]:
        is_link = given["follow_symlinks"] is False and os.path.islink(source)
        if is_link and not given["links_stored"]:
            from bulkhaul.engine.transfers.upload_many import left_out

            yield left_out(source, destination)
        elif given["choice"]:
            many = given["recursive"]
            yield from chosen_results(run, source, destination, given, many=many, stored=stored, move=move)
        elif given["recursive"] and not is_link:
            yield from run.upload_many(
                source,
                destination,
                options,
                include=given["include"],
                exclude=given["exclude"],
                follow_symlinks=given["follow_symlinks"],
                move=move,
                dry_run=given["dry_run"],
            )
        else:
            yield run.upload(source, destination, options, move=move, dry_run=given["dry_run"])

    return results


def copies_work(
    source: str,
    destination: str,
    options: ObjectOptions | None,
    given: dict[str, Any],
    origin_settings: Settings | None,
    *,
    move: bool,
) -> Results:
    """Return the work of one object, or of many, that are copied to others.

    Raises:
        InvalidUrl: SRC names no object, or DEST no bucket.
    """
    from bulkhaul.policy.selection import parse_destination, parse_source

    dry_run, recursive, version_id = given["dry_run"], given["recursive"], given["version_id"]
    many = parse_source(source, recursive=recursive, literal=given["raw"], marker=given["raw"]).many
    parse_destination(destination)

    def results(run: Engine) -> Iterator[TransferResult]:
        origin: AsyncEngine | None = run.beside(origin_settings) if origin_settings is not None else None
        what = (source if many else one_object(source), destination)
        how: dict[str, Any] = {"origin": origin, "preserve": given["preserve"], "dry_run": dry_run}
        selected: dict[str, Any] = {"recursive": recursive, "include": given["include"], "exclude": given["exclude"]}
        if given["choice"] or (given["restore"] and not dry_run):
            yield from chosen_results(run, *what, given, many=many, stored=options, origin=origin, move=move)
        elif given["all_versions"]:
            yield from run.copy_versions(what[0], destination, options, **selected, **how)
        elif many:
            yield from run.copy_many(source, destination, options, **selected, **how, move=move)
        else:
            yield run.copy(one_object(source), destination, options, **how, move=move, version_id=version_id)

    return results


def listed_work(
    direction: Direction,
    source: str,
    destination: str,
    stored: ObjectOptions | None,
    given: dict[str, Any],
    origin_settings: Settings | None,
    *,
    move: bool,
) -> Results:
    """Return the work on what a list names.

    Raises:
        InvalidUrl: SRC or DEST names no bucket.
    """
    from bulkhaul.policy.selection import parse_destination

    if direction is not Direction.UPLOAD:
        parse_destination(source, "a source")
    if direction is not Direction.DOWNLOAD:
        parse_destination(destination)
    file, nul = given["listed"]
    how = {"move": move, "dry_run": given["dry_run"]}

    def results(run: Engine) -> Iterator[TransferResult]:
        from bulkhaul.jobs.file_list import listed_rows
        from bulkhaul.model.rows import Action
        from bulkhaul.model.writing import ObjectOptions

        if direction is Direction.DOWNLOAD:
            rows = replacing_rows(run, listed_rows(file, Action.DOWNLOAD, source, destination, nul=nul), given, run.aio)
            download = partial(run.aio.download_rows, root=destination, **how)
            yield from restored_rows(run, rows, download, given, run.aio)
        elif direction is Direction.UPLOAD:
            rows = replacing_rows(run, listed_rows(file, Action.UPLOAD, source, destination, nul=nul), given, run.aio)
            yield from run.upload_rows(rows, stored or ObjectOptions(), **how)
        else:
            origin: AsyncEngine | None = run.beside(origin_settings) if origin_settings is not None else None
            rows = listed_rows(file, Action.COPY, source, destination, nul=nul)
            rows = replacing_rows(run, rows, given, origin or run.aio)
            copy = partial(run.aio.copy_rows, options=stored, origin=origin, preserve=given["preserve"], **how)
            yield from restored_rows(run, rows, copy, given, origin or run.aio)

    return results


def from_stdin_work(destination: str, stored: ObjectOptions | None, *, dry_run: bool, no_clobber: bool) -> Results:
    """Return the work of stdin that is stored as an object."""
    from bulkhaul.model.writing import ObjectOptions

    options = stored or ObjectOptions()

    def results(run: Engine) -> Iterator[TransferResult]:
        if no_clobber and run.exists(destination):
            yield is_there_already(STREAM, destination)
        else:
            yield run.upload_stream(0, destination, options, dry_run=dry_run)

    return results


def to_stdout_work(source: str, version_id: str, *, dry_run: bool) -> Results:
    """Return the work of one object that is written to stdout."""

    def results(run: Engine) -> Iterator[TransferResult]:
        yield run.download_stream(one_object(source), 1, version_id=version_id, dry_run=dry_run)

    return results
