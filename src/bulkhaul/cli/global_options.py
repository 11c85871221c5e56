"""Knows the options that may stand before the command, as s5cmd and aws-cli have them, and takes them off a line.

bulkhaul --profile p --json ls s3://b      is      bulkhaul ls --profile p --json s3://b

So an option that is given behind the command, too, decides by what stands there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from bulkhaul.cli.click_extensions import SectionOption, adding
from bulkhaul.cli.options import connection_options, output_options, speed_options

if TYPE_CHECKING:
    from collections.abc import Iterable

WITHOUT_EFFECT = frozenset({"workers", "concurrency", "log_level", "verbose", "no_progress", "quiet"})
"""Parameters that say how fast or how loud it goes: a command that has them not does the same without. What a query
prints is its answer, and not what --quiet silences; s5cmd knows it as --log error."""

_NO_JSON = {
    "completion": "completion prints a script for a shell, so there is no --json",
    "demo": "demo prints for people alone, so there is no --json",
}
"""Why there is none, of the commands that print no lines."""

_ALIKE = 0.75
"""How like an option a wrong word must be to be taken for a slip: at 0.6 ``--recursive`` is one of ``--workers``."""


class Split(NamedTuple):
    """A line, taken apart.

    Attributes:
        leading: the options before the command, each as ``--name`` or ``--name=value``.
        rest: the command and what stands behind it.
        open_option: the option at the end of the line whose value is still missing.
    """

    leading: list[str]
    rest: list[str]
    open_option: click.Option | None = None


@adding(
    connection_options,
    speed_options,
    output_options,
    click.option("--dry-run", "--dryrun", "dry_run", is_flag=True, help="Say what would be done, and change nothing."),
)
@click.command(add_help_option=False)
def _holder() -> None:
    """Hold the options."""


def options() -> dict[str, click.Option]:
    """Return the options by each of their spellings."""
    return {name: param for param in _holder.params if isinstance(param, click.Option) for name in param.opts}


def split(words: Sequence[str]) -> Split:
    """Take the options before the command off a line; Go's one dash before a long name is taken as two.

    Raises:
        click.UsageError: one of them is none of these.
    """
    known = options()
    leading: list[str] = []
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] not in ("-", "--"):
        word = words[at]
        name, equals, value = word.partition("=")
        if name not in known and f"-{name}" in known:
            name = f"-{name}"
        if name not in known and not name.startswith("--") and name[:2] in known:
            name, equals, value = name[:2], "=", word[2:]  # -c8
        if (option := known.get(name)) is None:
            raise unknown(name, known)
        at += 1
        spelled = name if name.startswith("--") else next(one for one in option.opts if one.startswith("--"))
        if option.count:  # -vv
            leading += [spelled] * (1 + len(value))
            continue
        if option.is_flag and equals:
            if value.lower() not in ("true", "1"):
                raise click.UsageError(f"{name} takes no value; leave it out to have it off.")
            equals = ""
        elif not option.is_flag and not equals:
            bare = option.bare if isinstance(option, SectionOption) else None
            if bare is not None:
                assert isinstance(option.type, click.Choice)
                value = words[at] if at < len(words) and words[at] in option.type.choices else ""
                at += bool(value)
                value = value or bare
            elif at == len(words):
                return Split(leading, [], option)
            else:
                value = words[at]
                at += 1
            equals = "="
        leading.append(f"{spelled}={value}" if equals else spelled)
    return Split(leading, list(words[at:]))


def unknown(name: str, known: Iterable[str]) -> click.UsageError:
    """Return the error for a word before the command that is no option of all commands."""
    from bulkhaul.cli.peer_names import option_hint

    if hint := option_hint(name):
        return click.UsageError(f"No such option {name!r}: {hint}.")
    from difflib import get_close_matches

    if found := get_close_matches(name, [*known, "--help", "--version"], 1, _ALIKE):
        return click.UsageError(f"No such option {name!r} before the command. Did you mean {found[0]!r}?")
    text = f"{name!r} is no option of all commands; give others behind the command: bulkhaul COMMAND {name} …"
    return click.UsageError(text)


def fitting(command: click.Command, name: str, leading: Sequence[str]) -> list[str]:
    """Return the options for this command; what only says how fast or how loud it goes is left out if it has it not.

    Raises:
        click.UsageError: it has not one of the others.
    """
    has = {spelling for param in command.params for spelling in param.opts}
    known = options()
    taken = []
    for word in leading:
        spelled = word.partition("=")[0]
        if spelled in has:
            taken.append(word)
        elif spelled == "--json" and name in _NO_JSON:
            raise click.UsageError(f"{_NO_JSON[name]}.")
        elif known[spelled].name not in WITHOUT_EFFECT:
            raise click.UsageError(f"{name} has no option {spelled}; `bulkhaul {name} --help` tells those that it has.")
    return taken
