"""Reads the values of options that only ``bulkhaul bench`` has: mixes, rates and speeds."""

from __future__ import annotations

import click

KINDS = ("get", "put", "mixed", "list", "stat", "delete")
"""What can be measured."""


def parsed_mix(_ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, float] | None:
    """Return the weights of operations, None where they were not given.

    Raises:
        click.BadParameter: a part is no operation with a weight.
    """
    if text is None:
        return None
    mix = {}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        try:
            mix[name.strip()] = float(weight)
        except ValueError:
            raise click.BadParameter(f"{part!r} is no operation with a weight, such as get=70.", param=param) from None
        if name.strip() not in KINDS or name.strip() == "mixed":
            raise click.BadParameter(f"{name!r} is none of get, put, list, stat and delete.", param=param)
    return mix


def parsed_rate(_ctx: click.Context, param: click.Parameter, text: str | None) -> float:
    """Return requests a second, 0 where no rate was given.

    Raises:
        click.BadParameter: it is no positive number.
    """
    if text is None:
        return 0.0
    try:
        rate = float(text.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1e6:
        raise click.BadParameter(f"{text!r} is no number of requests a second, such as 500 or 500/s.", param=param)
    return rate


def parsed_speed(_ctx: click.Context, param: click.Parameter, text: str) -> float:
    """Return by how much a replay is faster.

    Raises:
        click.BadParameter: it is no such factor.
    """
    from bulkhaul.model.errors import UsageError
    from bulkhaul.policy.replaying import parse_speed

    try:
        return parse_speed(text)
    except UsageError as error:
        raise click.BadParameter(str(error), param=param) from error
