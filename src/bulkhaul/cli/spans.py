"""Options that are spans of time; it must not know what for."""

from __future__ import annotations

import click


def parsed_duration(_ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return the seconds of a span of time, None where it was not given.

    Raises:
        click.BadParameter: it is no span of time.
    """
    if value is None:
        return None
    from bulkhaul.policy.durations import parse_duration

    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=param) from error
