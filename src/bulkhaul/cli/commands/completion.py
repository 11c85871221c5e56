"""``bulkhaul completion``: prints the script of a shell, or puts it where the shell looks for it."""

from __future__ import annotations

import os

import click

from bulkhaul.cli.click_extensions import SectionedCommand

EPILOG = """\b
Install it for the shell in $SHELL, or for the one that is named:
  bulkhaul completion --install
  bulkhaul completion --install zsh

\b
Or try it in this shell only:
  eval "$(bulkhaul completion bash)"

Buckets and keys are asked for as the options on the line say, for 2 seconds at most.
"""

_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=SectionedCommand, epilog=EPILOG, short_help="Complete command lines in your shell.")
@click.argument("shell", type=click.Choice(_SHELLS), required=False)
@click.option("--install", is_flag=True, help="Write the script where the shell looks for it.")
def completion(shell: str | None, *, install: bool) -> None:
    """Print the script that completes commands, options, profiles, buckets, keys and files in a shell."""
    from bulkhaul.cli.completion import SCRIPTS

    if shell is None:
        named = os.path.basename(os.environ.get("SHELL", ""))
        if not install or named not in _SHELLS:
            raise click.UsageError(f"name the shell: {', '.join(_SHELLS)}.")
        shell = named
    if not install:
        click.echo(SCRIPTS[shell], nl=False)
        return
    place = _place(shell)
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(SCRIPTS[shell])
    except OSError as error:
        raise click.ClickException(f"{click.format_filename(place)} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {click.format_filename(place)}")
    click.echo(_TO_DO[shell])


def _place(shell: str) -> str:
    """Source: the FAQ of bash-completion; zshcompsys(1), fpath; fish's manual, "Where to put completions"."""
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return {
        "bash": os.path.join(data, "bash-completion", "completions", "bulkhaul"),
        "zsh": os.path.expanduser("~/.zfunc/_bulkhaul"),
        "fish": os.path.join(config, "fish", "completions", "bulkhaul.fish"),
    }[shell]


_TO_DO = {
    "bash": "New shells complete with it where bash-completion is installed; else source it in ~/.bashrc.",
    "zsh": "Put this into ~/.zshrc, if it is not there, and begin a new shell:\n"
    "  fpath+=~/.zfunc; autoload -Uz compinit && compinit",
    "fish": "New shells complete with it; there is nothing else to do.",
}
