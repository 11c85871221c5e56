"""From a checked command line to an exit code: settings, forkserver, run; it must not know any command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bulkhaul.cli import early
from bulkhaul.cli.standard_streams import require_stdout

if TYPE_CHECKING:
    from collections.abc import Callable

    from bulkhaul.cli.job import Job


def launch(ctx: click.Context, prepare: Callable[[], Job], output: dict[str, Any]) -> None:
    """Prepare a job, carry it out and exit.

    Args:
        prepare: checks what is left to check, before anything is begun.
        output: ``as_json``, ``quiet``, ``no_progress`` and ``log_level``, as far as the command has them.

    Raises:
        click.UsageError: the command line makes no sense.
    """
    from bulkhaul.model.errors import TransferError

    try:
        job = prepare()
        if output.get("as_json", False):
            require_stdout()  # lines for people are a courtesy; whoever asks for these depends on them
        forkserver = early.take()
    except TransferError as error:
        from bulkhaul.policy.naming import printable

        if error.exit_code == click.UsageError.exit_code:
            raise click.UsageError(printable(str(error))) from error
        click.echo(f"bulkhaul: error: {printable(str(error))}", err=True)
        ctx.exit(error.exit_code)
    from bulkhaul.cli.running import carry_out

    status = carry_out(
        job,
        forkserver,
        as_json=output.get("as_json", False),
        quiet=output.get("quiet", False),
        progress=not output.get("no_progress", False),
        log_level=output.get("log_level", "warning"),
    )
    ctx.exit(status)


OUTPUT = ("as_json", "quiet", "no_progress", "log_level")


def take_output(given: dict[str, Any]) -> dict[str, Any]:
    """Take out of the options of a command those that say how it reports."""
    return {name: given.pop(name) for name in OUTPUT if name in given}
