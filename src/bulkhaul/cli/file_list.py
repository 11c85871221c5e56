"""The options that name a list of keys or paths, for the commands that take one: cp, mv and rm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from bulkhaul.cli.click_extensions import F, adding
from bulkhaul.cli.standard_streams import named_stdin, require_stdin

LINES, NUL = "files_from", "files_from0"
STDIN = "-"

_REFUSED = (
    "recursive",
    "include",
    "exclude",
    "follow_symlinks",
    "symlinks",
    "raw",
    "version_id",
    "all_versions",
    "flatten",
    "explain",
)
"""Parameters that say what is selected, which the list does."""


def list_options(option: Any, relative_to: str) -> Callable[[F], F]:
    """Return the options, made by ``option``; ``relative_to`` says what the lines are relative to."""
    return adding(
        option(
            "--files-from",
            LINES,
            metavar="FILE",
            help=f"What FILE (- is stdin) lists, one a line, relative to {relative_to}.",
        ),
        option(
            "--files-from0", NUL, metavar="FILE", help="As --files-from, with NUL between names that are taken as is."
        ),
    )


def take_list(ctx: click.Context, given: dict[str, Any]) -> tuple[str, bool] | None:
    """Take the list that a command line names, and whether NUL separates its names; None where it names none.

    Raises:
        click.UsageError: it names two, or one together with an option that selects otherwise.
    """
    lines, nul = given.pop(LINES), given.pop(NUL)
    if lines is None and nul is None:
        return None
    name = "--files-from" if nul is None else "--files-from0"
    if lines is not None and nul is not None:
        raise click.UsageError("--files-from and --files-from0 name one list; give one of them.")
    for param in ctx.command.params:
        if param.name in _REFUSED and ctx.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
            spellings = param.secondary_opts if ctx.params.get(param.name) is False else []
            raise click.UsageError(f"{(spellings or param.opts)[0]} means nothing with {name}.")
    file = lines if nul is None else nul
    if not file:
        raise click.UsageError(f"{name} names no file.")
    if named_stdin(file):
        file = STDIN
    if file == STDIN:
        require_stdin()
    return file, nul is not None
