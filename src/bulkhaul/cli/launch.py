"""Launches what a sound command line asks for: first the forkserver, then the engine's imports, then the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from bulkhaul.cli import early
from bulkhaul.cli.standard_streams import require_stdout
from bulkhaul.cli.verbosity import log_level

if TYPE_CHECKING:
    import click

    from bulkhaul.cli.job import Job
    from bulkhaul.cli.run_query import Work
    from bulkhaul.model.settings import Settings


class Taken:
    """Takes what a command makes, in place of a launch, where it is the ``obj`` of the command's context.

    Attributes:
        job: of a command that does something to objects, None for others.
        work: of a command that asks, None for others.
    """

    def __init__(self) -> None:
        self.job: Job | None = None
        self.work: Work | None = None


def launch_job(ctx: click.Context, job: Job, output: dict[str, Any]) -> NoReturn:
    """Carry out a job, and end the command.

    Args:
        output: ``as_json``, ``quiet`` and ``no_progress``, as far as the command has them.

    Raises:
        click.UsageError: ``--json`` was given and stdout is closed.
        TransferError: the engine's processes cannot be started.
    """
    if (taken := ctx.find_object(Taken)) is not None:
        taken.job = job
        ctx.exit()
    as_json = output.get("as_json", False)
    if as_json:
        require_stdout()  # a program depends on these lines; those for people may get lost
    if job.asks:
        early.start()
    from bulkhaul.cli.run_job import carry_out

    status = carry_out(
        job,
        early.take(),
        as_json=as_json,
        quiet=output.get("quiet", False),
        progress=not output.get("no_progress", False),
        log_level=log_level(ctx),
    )
    ctx.exit(status)


def launch_query(
    ctx: click.Context,
    work: Work,
    settings: Settings,
    *,
    operation: str,
    as_json: bool = False,
    workers: int | None = 1,
) -> NoReturn:
    """Run ``work``, which returns the exit code, and end the command with it.

    Args:
        operation: names the command in the JSON of a failure.
        workers: most worker processes: with two, one reads a page while the other one asks for the next. None for as
            many, and as many requests in flight, as the settings say.

    Raises:
        click.UsageError: stdout is closed, so the answer could not be seen.
        TransferError: the engine's processes cannot be started.
    """
    if (taken := ctx.find_object(Taken)) is not None:
        taken.work = work
        ctx.exit()
    require_stdout()
    early.start()
    from bulkhaul.cli.run_query import ask

    status = ask(
        work,
        settings,
        early.take(),
        operation=operation,
        as_json=as_json,
        workers=workers,
        log_level=log_level(ctx),
    )
    ctx.exit(status)
