"""Says what a command would do with one key: its action, and which rule decides that: --explain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NoReturn

import click

from bulkhaul.cli.source_options import origin_settings

if TYPE_CHECKING:
    from bulkhaul.cli.job import Job
    from bulkhaul.cli.run_query import Lines
    from bulkhaul.cli.several_sources import Places
    from bulkhaul.engine.aio import AsyncEngine
    from bulkhaul.jobs.explain import Explanation
    from bulkhaul.model.settings import Settings


def launch_explanation(
    ctx: click.Context,
    explained: Callable[[AsyncEngine, AsyncEngine], Awaitable[Explanation]],
    settings: Settings,
    origin: Settings | None,
    *,
    operation: str,
    as_json: bool,
) -> NoReturn:
    """Print an explanation, and end the command.

    Args:
        explained: makes it with the engine of the destination and that of the source.
        origin: the settings of the source, where they are others.
    """
    from bulkhaul.cli.launch import launch_query
    from bulkhaul.cli.lines import json_text

    async def work(engine: AsyncEngine, out: Lines) -> int:
        from bulkhaul.engine.aio import AsyncEngine
        from bulkhaul.policy.naming import printable

        if origin is None:
            told = await explained(engine, engine)
        else:
            async with AsyncEngine(origin) as beside:
                told = await explained(engine, beside)
        fields = {"operation": "explain", "key": told.name, "rule": told.rule, "action": told.action}
        if as_json:
            await out.write(json_text("explanation", fields | {"reason": told.reason}))
        else:
            await out.write(f"{printable(told.name)}: {told.action} ({told.rule}: {printable(told.reason)})\n")
        return 0

    launch_query(ctx, work, settings, operation=operation, as_json=as_json)


def explain_transfer(
    ctx: click.Context, job: Job, places: Places, given: dict[str, Any], *, move: bool, as_json: bool
) -> NoReturn:
    """Say what a cp or mv would do with a key, and end the command.

    Args:
        job: of that command, which is not carried out.
        places: what its SRC and DEST come to.
        given: the options of the command line.

    Raises:
        click.UsageError: links are stored, which comes after what can be told.
    """
    if given["links_stored"]:
        raise click.UsageError("--explain does not know what is stored of links; leave --symlinks store out.")
    from bulkhaul.cli.choice_options import choice_of
    from bulkhaul.cli.several_sources import several_of

    chosen = several_of(places, given)
    choice = choice_of(given, stored=None, move=move)

    async def explained(engine: AsyncEngine, beside: AsyncEngine) -> Explanation:
        from bulkhaul.jobs import explain_chosen

        origin = beside if beside is not engine else None
        return await explain_chosen.explain_transfer(engine, chosen, given["explain"], choice, origin=origin)

    origin = origin_settings(job.settings, given)
    launch_explanation(ctx, explained, job.settings, origin, operation=job.operation, as_json=as_json)
