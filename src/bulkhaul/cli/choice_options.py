"""Declares the options of cp and mv that say what of a selection is transferred, and does what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bulkhaul.cli.click_extensions import adding, section
from bulkhaul.cli.filter_options import explain_option

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Sequence

    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.engine.facade import Engine
    from bulkhaul.engine.transfers.rows import PlannedRow
    from bulkhaul.jobs.choosing import Choice
    from bulkhaul.model.objects import ObjectRef
    from bulkhaul.model.results import TransferResult
    from bulkhaul.model.writing import ObjectOptions
    from bulkhaul.policy.overwriting import Overwrite

_selection = section("Selection")

RULES = ("no_clobber", "if_size_differs", "if_source_newer", "if_etag_differs", "if_differs")
"""Parameters that say which destinations are replaced; the last one is no option, but what a line of ``run`` asks."""

no_clobber_option = _selection("--no-clobber", "-n", is_flag=True, help="Leave what exists at DEST as it is.")

choice_options = adding(
    no_clobber_option,
    _selection(
        "--if-size-differ", "-s", "if_size_differs", is_flag=True, help="Of what exists replace what has another size."
    ),
    _selection("--if-source-newer", "-u", is_flag=True, help="Of what exists replace what is older than its source."),
    _selection(
        "--if-etag-differ",
        "if_etag_differs",
        is_flag=True,
        help="Of what exists replace what has another ETag (of files their MD5). Of these four options the last one of"
        " this order decides.",
    ),
    _selection("--flatten", "-f", is_flag=True, help="Put all files into DEST itself, without the folders of SRC."),
    explain_option(_selection),
)


def take_choice(given: dict[str, Any]) -> tuple[Overwrite, bool] | None:
    """Remove the options from ``given``; return which files are replaced, and whether folders go; None for cp as usual.

    Of ``-n``, ``-s``, ``-u`` and ``--if-etag-differ`` the last of this order decides, as in s5cmd.
    """
    rules = {name: given.pop(name, False) for name in RULES}
    flatten = given.pop("flatten", False)
    if not flatten and not any(rules.values()):
        return None
    from bulkhaul.policy.overwriting import Overwrite

    return Overwrite(**rules), flatten


def left_out_one(source: str, given: dict[str, Any]) -> TransferResult | None:
    """Return the result of one object or file that filters leave out; None of all others, and of many.

    Args:
        given: the options of the command line.
    """
    filters = [given.get(name) or () for name in ("include", "exclude")]
    if not any(filters) or given["recursive"]:
        return None
    import os

    from bulkhaul.model.results import TransferResult
    from bulkhaul.policy.filters import Filters
    from bulkhaul.policy.selection import named_object, parse_source

    local = not source.startswith("s3://")
    if not local and parse_source(source, literal=given["raw"], marker=given["raw"]).many:
        return None
    bucket, key = named_object(source)
    test = Filters(*filters, root=os.path.dirname(os.path.abspath(source)) if local else "")
    name = os.path.basename((source if local else key).rstrip("/"))
    if test.takes(name):
        return None
    return TransferResult(source=source, destination="", bucket=bucket, key=key, skipped=test.reason(name))


def is_there_already(source: str, destination: str) -> TransferResult:
    """Return the result of one transfer that leaves an object as it is, for ``--no-clobber``."""
    from bulkhaul.model.results import TransferResult
    from bulkhaul.policy.overwriting import IS_THERE
    from bulkhaul.policy.selection import named_object

    bucket, key = named_object(destination)
    return TransferResult(source=source, destination=destination, bucket=bucket, key=key, skipped=IS_THERE)


def choice_of(given: dict[str, Any], *, stored: ObjectOptions | None, move: bool) -> Choice:
    """Return what a command line says of how its selection is transferred."""
    from bulkhaul.jobs.choosing import Choice
    from bulkhaul.policy.overwriting import Overwrite

    overwrite, flatten = given["choice"] or (Overwrite(), False)
    options, counts = given["restore"] or (None, None)
    named = ("include", "exclude", "follow_symlinks", "preserve", "dry_run", "version_id")
    return Choice(
        overwrite=overwrite,
        flatten=flatten,
        stored=stored,
        move=move,
        restore=options,
        counts=counts,
        **{name: given[name] for name in named},
    )


def chosen_results(
    run: Engine,
    source: str | ObjectRef,
    destination: str,
    given: dict[str, Any],
    *,
    many: bool,
    stored: ObjectOptions | None = None,
    origin: AsyncEngine | None = None,
    move: bool,
) -> Iterator[TransferResult]:
    """Carry out a cp or mv of what is chosen, and of what is archived when it is there.

    Args:
        given: the options of the command line.
        many: it is a prefix, a pattern or a folder.
        stored, origin: of an upload or a copy.
    """
    from bulkhaul.jobs.choosing import chosen_files, chosen_objects, chosen_one

    choice = choice_of(given, stored=stored, move=move)
    if not many or not isinstance(source, str):
        return run.each(chosen_one(run.aio, source, destination, choice, origin=origin))
    if not source.startswith("s3://"):
        return run.each(chosen_files(run.aio, source, destination, choice))
    how = {"recursive": given["recursive"], "origin": origin}
    return run.each(chosen_objects(run.aio, source, destination, choice, **how))


def replacing_rows(
    run: Engine, rows: AsyncGenerator[Sequence[PlannedRow], None], given: dict[str, Any], asked: AsyncEngine
) -> AsyncGenerator[Sequence[PlannedRow], None]:
    """Return the rows of a list, without those whose destination is to stay.

    Args:
        asked: the engine of the source.
    """
    if not given["choice"]:
        return rows
    from bulkhaul.jobs.overwriting import replacing

    return replacing(rows, given["choice"][0], control=run.aio.control, origin=asked.control)
