"""The ``bulkhaul`` command group: lists its commands, and imports a command when it is called."""

from __future__ import annotations

from importlib import import_module

import click

from bulkhaul import __version__

_COMMANDS = (
    *("cp", "mv", "sync", "verify", "cat", "pipe", "ls", "du", "head", "rm", "presign", "tags", "mb", "rb"),
    *("job", "run", "cleanup", "doctor", "completion", "demo"),
)
"""In the order of the help page; each is a module of ``commands`` with a function of its name."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of the help page."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Return the command of this name, None if there is none."""
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"bulkhaul.cli.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="bulkhaul", message="%(prog)s %(version)s")
def cli() -> None:
    """Move objects between S3 and disk, in every direction: fast, verified, all or nothing.

    Exit code: 0 everything was done and verified, 1 something failed, 2 the command line makes no sense,
    130 interrupted.
    """
