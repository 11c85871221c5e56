"""The ``bulkhaul`` command group: lists its commands, and imports a command when it is called."""

from __future__ import annotations

import os
from importlib import import_module

import click

from bulkhaul import __version__
from bulkhaul.cli.click_extensions import COMPLETING, HelpGroup

_COMMANDS = (
    *("cp", "mv", "sync", "verify", "cat", "pipe", "ls", "du", "head", "rm", "presign", "tags", "mb", "rb"),
    *("job", "run", "bench", "cleanup", "doctor", "completion", "demo"),
)
"""In the order of the help page; each is a module of ``commands`` with a function of its name."""


_WORDS = ("version", "help")
"""What other programs have as commands."""


_OWN = ("--version", "--help", "-h")
"""The options of the program itself."""


def _spelled(words: list[str]) -> list[str]:
    """Return ``version`` or ``help COMMAND`` as the option that it stands for."""
    return ["--version"] if words[0] == "version" else [*words[1:], "--help"]


class LazyGroup(HelpGroup):
    """A group that imports a command when it is called, and takes options before the command as if behind it."""

    def _main_shell_completion(self, ctx_args: object, prog_name: str, complete_var: str | None = None) -> None:  # noqa: ARG002 - click's
        """Complete a command line where a shell asks for that; this is where click does it."""
        if os.environ.get(COMPLETING):
            from bulkhaul.cli.completion import complete

            complete(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words up to the command; ``version`` and ``help COMMAND`` are words for two options.

        Raises:
            click.UsageError: an option before the command is none of all commands, or the command has it not.
        """
        if args and args[0] in _WORDS:
            args = _spelled(args)
        elif args and args[0].startswith("-") and args[0] not in _OWN:
            args = self._behind_the_command(ctx, args)
        return super().parse_args(ctx, args)

    def _behind_the_command(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return the words with the options before the command put behind it."""
        from bulkhaul.cli.global_options import fitting, split

        own = next((at for at, word in enumerate(args) if word in _OWN or not word.startswith("-")), len(args))
        if own < len(args) and args[own] in _OWN:
            return [args[own]]
        leading, rest, open_option = split(args)
        if open_option is not None:
            raise click.UsageError(f"Option {open_option.opts[0]!r} requires an argument.")
        if rest and rest[0] in _WORDS:
            return _spelled(rest)
        names, command = [], None
        group: click.Group = self
        while rest and (command := group.get_command(ctx, rest[0])) is not None:
            names.append(rest.pop(0))
            if not isinstance(command, click.Group):
                break
            group = command
        if command is None:
            return [*names, *rest]  # which says what is missing
        return [*names, *fitting(command, " ".join(names), leading), *rest]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that a line names.

        Raises:
            click.UsageError: there is none of this name; the message says which one may be meant.
        """
        if not ctx.resilient_parsing and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from bulkhaul.cli.peer_names import unknown_command

            raise click.UsageError(unknown_command(args[0], _COMMANDS), ctx)
        return super().resolve_command(ctx, args)

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
