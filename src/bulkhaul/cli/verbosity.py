"""Keeps, in a command's context, what level of the log was asked for, and which option has given each setting."""

from __future__ import annotations

from collections.abc import Mapping

import click

LEVELS = ("debug", "info", "warning", "error")

THIS_COMMAND = "this command"
"""What has given a setting that no option has."""

_LEVEL = "bulkhaul.log_level"
_SOURCES = "bulkhaul.sources"


def ask_for_level(ctx: click.Context, _param: click.Parameter, value: int | str | None) -> None:
    """Note a level, or how often ``-v`` was given; of several, the one that tells most."""
    if value:
        level = value if isinstance(value, str) else ("info" if value == 1 else "debug")
        ctx.meta[_LEVEL] = min(level, ctx.meta.get(_LEVEL, level), key=LEVELS.index)


def log_level(ctx: click.Context) -> str:
    """Return the level that the command line asks for."""
    level: str = ctx.meta.get(_LEVEL, "warning")
    return level


def note_sources(sources: Mapping[str, str]) -> None:
    """Note, by setting, which option or variable has given it."""
    if (ctx := click.get_current_context(silent=True)) is not None:
        ctx.meta[_SOURCES] = sources


def noted_sources() -> Mapping[str, str]:
    """Return what ``note_sources`` was given last for this command."""
    ctx = click.get_current_context(silent=True)
    sources: Mapping[str, str] = ctx.meta.get(_SOURCES, {}) if ctx is not None else {}
    return sources
