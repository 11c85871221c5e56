"""``bulkhaul completion``: prints click's completion scripts."""

from __future__ import annotations

import click

from bulkhaul.cli.click_extensions import SectionedCommand

VARIABLE = "_BULKHAUL_COMPLETE"
"""With this in the environment the command completes a command line instead of running it. Source: click's naming."""

EPILOG = """\b
Install it, for bash (4.4 or newer), zsh and fish:
  bulkhaul completion bash > ~/.local/share/bash-completion/completions/bulkhaul
  bulkhaul completion zsh  > ~/.zfunc/_bulkhaul    (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  bulkhaul completion fish > ~/.config/fish/completions/bulkhaul.fish

\b
Or try it in this shell only:
  eval "$(bulkhaul completion bash)"
"""


@click.command("completion", cls=SectionedCommand, epilog=EPILOG, short_help="Print a script for your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and their choices in a shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "bulkhaul", VARIABLE).source())
